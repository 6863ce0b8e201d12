"""From an encoded picture to a square of pixels: the whole picture, aspect kept, in the middle of the mean colour.

    JPEG in RGB ──► decoded at an eighth, two, ... of its size ──┐
    anything else ──► Pillow ────────────────────────────────────┴─► bicubic to the square's side ──► changed ──► placed

The paper pads with the mean (section A.3.2). `model.image.fit` does the same for prompts, without the shortcut.
"""

import io
import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps

from shards.document import Frame
from training.data.appearance import Appearance, Pixels, change

MAX_PIXELS = 64_000_000
"""Of an encoded picture; more are not decoded."""
FORMATS = ("JPEG", "PNG", "WEBP")
UPRIGHT = 1
"""EXIF orientation of a picture that is stored as it is shown."""

TOO_LARGE, UNDECODABLE = "picture_too_large", "picture_undecodable"

cv2.setNumThreads(1)  # pictures are spread over processes already


class BadMedia(Exception):
    """A picture of the sample cannot be used; the message is the reason under which it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The square that every picture is fitted into."""

    size: int
    """Its side in pixels."""
    mean: tuple[float, float, float]
    """Its colour around the picture, red, green and blue in 0..1."""


@lru_cache(maxsize=4)
def empty_square(canvas: Canvas) -> Pixels:
    """uint8[size, size, 3] of the mean colour alone."""
    square = np.empty((canvas.size, canvas.size, 3), dtype=np.uint8)
    square[:] = [round(255 * channel) for channel in canvas.mean]
    square.flags.writeable = False
    return square


def draw(frame: Frame, canvas: Canvas, appearance: Appearance, square: Pixels) -> None:
    """Fills `square`, uint8[size, size, 3], with the picture. Raises BadMedia if it cannot be decoded."""
    picture = change(decode(frame.data, canvas), appearance)
    height, width = picture.shape[:2]
    top, left = (canvas.size - height) // 2, (canvas.size - width) // 2
    empty = empty_square(canvas)
    square[:top], square[top + height :] = empty[:top], empty[top + height :]
    middle = square[top : top + height]
    middle[:, :left], middle[:, left + width :] = empty[:height, :left], empty[:height, left + width :]
    middle[:, left : left + width] = picture


def decode(data: bytes, canvas: Canvas) -> Pixels:
    """uint8[height, width, 3]: the picture upright, its longer side as long as the canvas's, transparency on the mean.

    Raises BadMedia.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadMedia(TOO_LARGE)
                reduced = _decode_jpeg(data, image, canvas.size)
                return _load(image, canvas) if reduced is None else reduced
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadMedia(UNDECODABLE) from None


def fitted_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height with the longer one `side`, aspect kept to the nearest pixel, and at least one pixel."""
    longer = max(size)
    return max(1, round(side * size[0] / longer)), max(1, round(side * size[1] / longer))


def _decode_jpeg(data: bytes, image: Image.Image, side: int) -> Pixels | None:
    """The JPEG decoded at the smallest number of eighths that is enough, then made smaller.

    None for other pictures, and where the file has any flaw: what can be used of it, Pillow says.
    """
    if image.format not in ("JPEG", "MPO") or image.mode != "RGB" or _orientation(image) != UPRIGHT:
        return None
    size = fitted_size(image.size, side)
    eighths = min(8, max(-(-8 * wanted // given) for wanted, given in zip(size, image.size, strict=True)))
    extent = image.width * eighths / 8, image.height * eighths / 8
    try:
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_width=math.ceil(extent[0]), min_height=math.ceil(extent[1]), strict=True
        )
    except ValueError:
        return None
    if pixels.shape[:2] == (size[1], size[0]):
        return pixels
    # The last column and row of a reduced JPEG may be only partly of it: 437.5 of 438 at seven eighths of 500.
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, (0, 0, *extent)))


def _orientation(image: Image.Image) -> int:
    return image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) if "exif" in image.info else UPRIGHT


def _load(image: Image.Image, canvas: Canvas) -> Pixels:
    upright = ImageOps.exif_transpose(image)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    fitted = upright.convert(mode).resize(fitted_size(upright.size, canvas.size), Image.Resampling.BICUBIC)
    if mode == "RGBA":
        ground = Image.new("RGB", fitted.size, tuple(round(255 * channel) for channel in canvas.mean))
        ground.paste(fitted, mask=fitted)
        fitted = ground
    return np.asarray(fitted)
