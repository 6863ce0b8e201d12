"""From the bytes of an image, as a stranger made them, to a frame that can be stored, or to the reason why not."""

import asyncio
import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageOps

from pipeline.candidates import data_image
from pipeline.door import Door, FetchError
from pipeline.rules import image as rules
from shards.document import Frame

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
"""Formats that are decoded; of an animation, the first frame."""


MOST_ADDRESSES = 3
"""Of the addresses that a page gives for one picture, so many are tried."""


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Which images are kept, and how they are stored."""

    min_side: int = 64
    """Least shorter side, in pixels (Flamingo, appendix A.3.1)."""
    max_aspect: float = 3.0
    """Largest ratio of the longer to the shorter side (Flamingo, appendix A.3.1)."""
    min_colour_spread: float = 2.0
    """Least standard deviation of a channel, of 127.5; below it an image counts as a single colour."""
    max_pixels: int = 100_000_000
    """Largest image that is decoded, in pixels, by its header."""
    store_side: int = 512
    """Images are stored with at most this many pixels on the shorter side."""
    quality: int = 90
    """JPEG quality of stored images, 1 to 95."""

    def __post_init__(self) -> None:
        for name in ("min_side", "max_pixels", "store_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"image.{name} is {getattr(self, name)}; it must be 1 or greater")
        if self.max_aspect < 1:
            raise ValueError(f"image.max_aspect is {self.max_aspect}; it must be 1 or greater")
        if not 1 <= self.quality <= 95:
            raise ValueError(f"image.quality is {self.quality}; it must be from 1 to 95")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A frame, and the address that it came from."""

    url: str
    frame: Frame


class ImageError(Exception):
    """An image is not kept; `reason` is a word to count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def fetch_picture(door: Door, addresses: Sequence[str], most_bytes: int, config: ImageConfig) -> Picture | str:
    """The picture at the first of `addresses` that gives one, or the reason why the first does not."""
    reasons: list[str] = []
    for address in addresses[:MOST_ADDRESSES]:
        try:
            if address.startswith("data:"):
                return picture_in_page(address, most_bytes, config)
            answer = await door.fetch(address, most_bytes)
            return Picture(url=address, frame=await asyncio.to_thread(make_frame, answer.data, config))
        except (FetchError, ImageError) as error:
            reasons.append(error.reason)
    return reasons[0]


def picture_in_page(address: str, most_bytes: int, config: ImageConfig) -> Picture:
    """The picture of a `data:` address, named by its hash instead of by itself. Raises ImageError."""
    held = data_image(address, most_bytes)
    if held is None:
        raise ImageError("not_an_image")
    media_type, data = held
    return Picture(url=f"data:{media_type};sha256,{hashlib.sha256(data).hexdigest()}", frame=make_frame(data, config))


def make_frame(data: bytes, config: ImageConfig) -> Frame:
    """The image in `data` upright, in RGB on white, no larger than it needs to be, as JPEG.

    Raises ImageError with the reason `not_an_image`, `too_many_pixels`, `broken_image`, `small_side`, `aspect` or
    `single_colour`.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of much that strangers' files hold; what matters here raises.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_size(image.width, image.height, config)
            image.draft("RGB", (config.store_side, config.store_side))
            upright = _on_white(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError("not_an_image") from None
    except Image.DecompressionBombError:
        raise ImageError("too_many_pixels") from None
    except Exception:
        # A decoder fed with strangers' bytes raises whatever it likes: OSError, SyntaxError, struct.error, ...
        raise ImageError("broken_image") from None
    if rules.colour_spread(upright) < config.min_colour_spread:
        raise ImageError("single_colour")
    return _encode(upright, config)


def _check_size(width: int, height: int, config: ImageConfig) -> None:
    if width * height > config.max_pixels:
        raise ImageError("too_many_pixels")
    if rules.shorter_side(width, height) < config.min_side:
        raise ImageError("small_side")
    if rules.aspect(width, height) > config.max_aspect:
        raise ImageError("aspect")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits to 8; a picture of 16 bits keeps its upper ones.
        image = image.point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _encode(image: Image.Image, config: ImageConfig) -> Frame:
    scale = config.store_side / min(image.size)
    if scale < 1:
        size = cast(tuple[int, int], tuple(max(1, round(side * scale)) for side in image.size))
        image = image.resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=config.quality)
    return Frame(data=buffer.getvalue(), format="jpg", width=image.width, height=image.height)
