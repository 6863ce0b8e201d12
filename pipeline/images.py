"""From the bytes of an image, as a stranger made them, to a frame that can be stored, or to the reason why not.

What the header says is judged before anything is decoded, and a JPEG is decoded no larger than it is stored. Decoding
runs on as many threads as there are cores, however many pictures arrive at once.
"""

import asyncio
import hashlib
import io
import os
import re
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import simplejpeg
from PIL import AvifImagePlugin, Image

from pipeline.careful import CarefulCalls, Crashed
from pipeline.door import Door, FetchError
from pipeline.extraction.candidates import data_image
from pipeline.pixels import QUARTER_TURNS, orientation, shown_pixels
from pipeline.rules import image as rules
from pipeline.rules.bounds import Bounds, check_rules, refusal
from shards.document import Frame, ImageFormat

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
"""Formats that are decoded; of an animation, the first frame."""
ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")
STORED: dict[str, ImageFormat] = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
"""Formats that a shard can hold, by Pillow's name; MPO is a JPEG with further pictures behind it."""
UNAVAILABLE = re.compile(
    rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)"  # HEIC
    rb"|\xff\x0a|\0\0\0\x0cJXL "
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51"  # JPEG 2000
    rb"|II\xbc\x01"  # JPEG XR
    rb"|\0\0[\x01\x02]\0"  # icons and cursors of Windows
    rb"|\s*(?:<\?xml|<!--|<!DOCTYPE svg)[^\0]*?<svg[\s>]|\s*<svg[\s>]",
    re.DOTALL,
)
"""How images begin that are of a known format, and none that is decoded."""
BROKEN = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|....ftypavi[fs]", re.DOTALL)
"""How those begin that are decoded, if they are not too broken."""
HEAD_BYTES = 4096
"""So much of a file is looked at to tell what it was meant to be."""
PILLOW_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow refuses larger images, and frames of a GIF that grow larger, as bombs."""
MOST_ADDRESSES = 3
"""Of the addresses that a page gives for one picture, so many are tried."""

GATHERED = {name: rules.PIXEL_MEASURES[name] for name in ("side", "aspect", "frames", "colour_spread")}
"""What is measured of every picture."""
RULES = {"side": Bounds(least=64), "aspect": Bounds(most=3), "colour_spread": Bounds(least=2)}
"""Those of Flamingo, appendix A.3.1, where what has nearly one colour is of low quality."""

Image.init()  # before threads share it: Pillow reads its plugins when the first image needs one
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # or else it takes a thread for each core, for each picture
warnings.filterwarnings("ignore", module=r"PIL\.")  # of much that strangers' files hold; what matters raises


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Which images are kept, and how they are stored."""

    rules: dict[str, Bounds] = field(default_factory=lambda: dict(RULES))
    """Bounds on side (pixels), aspect and frames, of the file, and colour_spread, of what is stored, by measure."""
    max_pixels: int = 100_000_000
    """Largest image that is decoded, in pixels, by its header; at most 178,956,970, where Pillow stops."""
    max_frames: int = 1000
    """Longest animation of which the first frame is taken, in frames."""
    max_scans: int = 100
    """Most passes over a progressive JPEG; 100 million pixels take 0.08 s a pass, and 20 MB hold 140,000 of them."""
    store_side: int = 512
    """Images are stored with at most this many pixels on the shorter side."""
    quality: int = 90
    """JPEG quality of stored images, 1 to 95."""
    keep_original: bool = False
    """Store JPEG, PNG and WebP files as they came, of any size; other formats are re-encoded as without it."""

    def __post_init__(self) -> None:
        check_rules("image.rules", self.rules, GATHERED)
        for name in ("max_pixels", "max_frames", "max_scans", "store_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"image.{name} is {getattr(self, name)}; it must be 1 or greater")
        if self.max_pixels > PILLOW_PIXELS:
            raise ValueError(f"image.max_pixels is {self.max_pixels}; it must be at most {PILLOW_PIXELS}")
        if not 1 <= self.quality <= 95:
            raise ValueError(f"image.quality is {self.quality}; it must be from 1 to 95")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFrame:
    """A frame, and the measures of the file that it was made from, by name."""

    frame: Frame
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A frame, and the address that it came from."""

    url: str
    frame: Frame
    measures: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPicture:
    """Why nothing came, or what came is not kept."""

    reason: str
    measure: float | None = None
    """What was out of bounds, for reasons that are bounds on a measure."""
    threshold: float | None = None


class ImageError(Exception):
    """An image is not kept; `reason` is a word to count."""

    def __init__(self, reason: str, measure: float | None = None, threshold: float | None = None) -> None:
        super().__init__(reason, measure, threshold)
        self.reason = reason
        self.measure = measure
        self.threshold = threshold


Decode = Callable[[bytes, ImageConfig], Awaitable[MeasuredFrame]]
"""`make_frame`, wherever it runs."""


async def make_frame_in_pool(data: bytes, config: ImageConfig) -> MeasuredFrame:
    """`make_frame` on one of the threads for decoding; further calls wait for one."""
    return await asyncio.get_running_loop().run_in_executor(_decoders(), make_frame, data, config)


def decode_carefully(call: CarefulCalls) -> Decode:
    """`make_frame` where a picture that crashes the decoder harms nothing; it is refused as `crashed`."""

    async def decode(data: bytes, config: ImageConfig) -> MeasuredFrame:
        try:
            return await asyncio.to_thread(call, make_frame, data, config)
        except Crashed as error:
            raise ImageError(error.reason) from error

    return decode


async def fetch_picture(
    fetcher: Door, addresses: Sequence[str], most_bytes: int, config: ImageConfig, decode: Decode = make_frame_in_pool
) -> Picture | NoPicture:
    """The picture at the first of `addresses` that gives one, or the reason why the first does not."""
    reasons: list[NoPicture] = []
    for address in addresses[:MOST_ADDRESSES]:
        try:
            name, data = await _bytes_at(fetcher, address, most_bytes)
            made = await decode(data, config)
            return Picture(url=name, frame=made.frame, measures=made.measures)
        except FetchError as error:
            reasons.append(NoPicture(reason=error.reason))
        except ImageError as error:
            reasons.append(NoPicture(reason=error.reason, measure=error.measure, threshold=error.threshold))
    return reasons[0]


async def _bytes_at(door: Door, address: str, most_bytes: int) -> tuple[str, bytes]:
    """What lies at `address`, and its name: a `data:` address is named by its hash instead of by itself."""
    if not address.startswith("data:"):
        return address, (await door.fetch(address, most_bytes)).data
    held = data_image(address, most_bytes)
    if held is None:
        raise ImageError("not_an_image")
    media_type, data = held
    return f"data:{media_type};sha256,{hashlib.sha256(data).hexdigest()}", data


@cache
def _decoders() -> ThreadPoolExecutor:
    # Ray sets OMP_NUM_THREADS to the CPUs that a task may use.
    cores = int(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0] or os.cpu_count() or 1)
    return ThreadPoolExecutor(cores, thread_name_prefix="decoder")


def make_frame(data: bytes, config: ImageConfig) -> MeasuredFrame:
    """The image in `data` upright, in sRGB on white, no larger than it needs to be, as JPEG, or else as it came.

    Raises ImageError with the reason `not_an_image`, `format_unavailable`, `too_many_pixels`, `too_many_frames`,
    `too_many_scans`, `broken_image` (also if its end is missing), or one of the config's rules, such as `side_under`;
    and MemoryError.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > config.max_pixels:
            raise ImageError("too_many_pixels")
        measures = _measure_header(image)
        _hold(measures, config)
        _check_length(image, data, measures["frames"], config)
        width, height = image.size
        pixels = shown_pixels(image, data, config.store_side)
        turned = orientation(image) in QUARTER_TURNS
    except (ImageError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise ImageError(_unidentified(data[:HEAD_BYTES])) from None
    except Image.DecompressionBombError:
        raise ImageError("too_many_pixels") from None
    except Exception:
        # A decoder fed with strangers' bytes raises whatever it likes: OSError, SyntaxError, struct.error, ...
        raise ImageError("broken_image") from None
    measures["colour_spread"] = rules.colour_spread(pixels)
    _hold(measures, config)
    if config.keep_original and image.format in STORED:
        upright = (height, width) if turned else (width, height)
        frame = Frame(data=data, format=STORED[image.format], width=upright[0], height=upright[1])
    else:
        jpeg = simplejpeg.encode_jpeg(pixels, config.quality, "RGB", "420")
        frame = Frame(data=jpeg, format="jpg", width=pixels.shape[1], height=pixels.shape[0])
    return MeasuredFrame(frame=frame, measures=measures)


def _unidentified(head: bytes) -> str:
    if BROKEN.match(head):
        return "broken_image"
    return "format_unavailable" if UNAVAILABLE.match(head) else "not_an_image"


def _measure_header(image: Image.Image) -> dict[str, float]:
    return {
        "side": float(rules.shorter_side(image.width, image.height)),
        "aspect": rules.aspect(image.width, image.height),
        "frames": float(getattr(image, "n_frames", 1) if image.format in ANIMATED else 1),
    }


def _hold(measures: Mapping[str, float], config: ImageConfig) -> None:
    if refused := refusal(measures, config.rules):
        raise ImageError(refused.reason, refused.measure, refused.threshold)


def _check_length(image: Image.Image, data: bytes, frames: float, config: ImageConfig) -> None:
    if frames > config.max_frames:
        raise ImageError("too_many_frames")
    if image.format in ("JPEG", "MPO") and _count_scans(data) > config.max_scans:
        raise ImageError("too_many_scans")


def _count_scans(jpeg: bytes) -> int:
    """How often the marker SOS stands in `jpeg`: entropy-coded data never look like a marker (ITU T.81, B.1.1.5)."""
    values = np.frombuffer(jpeg, np.uint8)
    return int(np.count_nonzero((values[:-1] == 0xFF) & (values[1:] == 0xDA)))
