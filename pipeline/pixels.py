"""From an image that was opened to the pixels that are stored: as a browser would show it, and no larger than wanted.

    JPEG in RGB ──► decoded at 1, 2, 4 or 8 eighths of its size ─┐
    anything else ──► Pillow, in an even mode ───────────────────┴─► made smaller ──► sRGB on white, upright

Most pictures of the web go the upper way, in arrays all along. What is stored comes back by `frame_pixels`.
"""

import io
import math
import struct

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image

from pipeline.colours import even, srgb_on_white
from shards.document import Frame

Pixels = npt.NDArray[np.uint8]
"""`uint8[height, width, 3]`, or without the channels for shades of grey."""

JPEG = ("JPEG", "MPO")
BLUR = 0.45
"""Sigma of the blur in pixels, by the root of the factor's square less one.

With it the result is no further from Lanczos than Hamming is, at any factor.
"""
FILTERED_IN_PLACE = 2.0
"""Up to this factor three by three pixels are enough of a filter."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation (Exif 2.32, 4.6.4)."""
QUARTER_TURNS = (5, 6, 7, 8)

cv2.setNumThreads(1)  # pictures are spread over threads already, one each


def shown_pixels(image: Image.Image, data: bytes, side: int) -> Pixels:
    """`uint8[height, width, 3]` of the file `data`, which `image` was opened from, its shorter side at most `side`.

    Raises whatever Pillow does if the file is broken.
    """
    scale = min(1.0, side / min(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    decoded = _decode_jpeg(data, image.size, size) if image.format in JPEG and image.mode == "RGB" else None
    small = _load(image, size) if decoded is None else decoded
    profile, turn = image.info.get("icc_profile"), TURNS.get(orientation(image))  # a PNG may say both behind its pixels
    if not isinstance(small, Image.Image):
        if not profile and turn is None:
            return small
        small = Image.fromarray(small)
    shown = srgb_on_white(small, profile)
    return np.asarray(shown if turn is None else shown.transpose(turn))


def frame_pixels(frame: Frame, side: int) -> Pixels:
    """`uint8[height, width, 3]` of a stored picture, its shorter side at most `side`.

    Raises ValueError if it cannot be decoded, and MemoryError.
    """
    try:
        with Image.open(io.BytesIO(frame.data), formats=("JPEG", "PNG", "WEBP")) as image:
            return shown_pixels(image, frame.data, side)
    except MemoryError:
        raise
    except Exception as error:
        # A decoder fed with strangers' bytes, which a shard may hold as they came, raises whatever it likes.
        raise ValueError(f"a {frame.format} of {len(frame.data)} bytes cannot be decoded: {error}") from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, which is upright, where EXIF cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, struct.error):
        return 1


def shrink(pixels: Pixels, size: tuple[int, int], extent: tuple[float, float] | None = None) -> Pixels:
    """`pixels`, at most FILTERED_IN_PLACE times as wide and high as wanted, at `size`: width and height.

    `extent` is the width and height that the picture has in `pixels`, where its last column and row are only partly
    of it: a JPEG of 500 pixels has 437.5 of 438 at seven eighths. For so little a small blur and a bicubic step are
    enough against patterns that were not there, and both run on vectors.
    """
    width, height = extent or (pixels.shape[1], pixels.shape[0])
    factor = max(width / size[0], height / size[1])
    if pixels.shape[:2] == (size[1], size[0]):
        return pixels
    blurred = cv2.GaussianBlur(pixels, (3, 3), BLUR * math.sqrt(factor**2 - 1)) if factor > 1 else pixels
    small = cv2.resize(blurred, None, fx=size[0] / width, fy=size[1] / height, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(small[: size[1], : size[0]], np.uint8)


def _decode_jpeg(jpeg: bytes, whole: tuple[int, int], size: tuple[int, int]) -> Pixels | None:
    """The picture of `whole` width and height at `size`, decoded at the smallest of 1, 2, 4, 8 eighths that is enough.

    libjpeg-turbo has vector instructions for these four; with the others it takes up to half as long again. None where
    that is still too large, and where the file has any flaw: what can be used of it, Pillow says.
    """
    enough = max(-(-8 * wanted // given) for wanted, given in zip(size, whole, strict=True))
    eighths = 1 << (enough - 1).bit_length()
    extent = whole[0] * eighths / 8, whole[1] * eighths / 8
    if max(extent[0] / size[0], extent[1] / size[1]) > FILTERED_IN_PLACE:
        return None
    least = math.ceil(extent[0]), math.ceil(extent[1])
    try:
        pixels = simplejpeg.decode_jpeg(jpeg, "RGB", min_width=least[0], min_height=least[1], strict=True)
    except ValueError:
        return None
    return shrink(pixels, size, extent)


def _load(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at `size`, in one of the modes of `pipeline.colours.even`."""
    drafted = image.draft("RGB", size)
    image.load()
    whole = even(image)
    _, _, width, height = drafted[1] if drafted else (0, 0, *whole.size)
    if max(width / size[0], height / size[1]) <= FILTERED_IN_PLACE and whole.mode in ("L", "RGB"):
        return Image.fromarray(shrink(np.asarray(whole), size, (width, height)))
    # Hamming leaves as much contrast between neighbours as bicubic does, in two thirds of the time.
    return whole.resize(size, Image.Resampling.HAMMING, (0, 0, width, height))
