"""From the pixels of a decoded picture, in whatever mode its file has them, to plain sRGB on white.

A picture goes through `even` before it is resized, so that neighbours can be averaged, and through `srgb_on_white`
after it, when fewer pixels are left to convert.
"""

import io
import itertools
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

MOST_PROFILE_BYTES = 1_000_000
"""A larger colour profile is not read; those of printing presses have about 600,000 bytes."""
IMPERCEPTIBLE = 3
"""A profile that moves no channel of any colour by more, of 255, is sRGB in all but its bytes."""
SRGB = ImageCms.createProfile("sRGB")
LAB = ImageCms.createProfile("LAB")
LATTICE = bytes(itertools.chain.from_iterable(itertools.product(range(0, 256, 51), repeat=3)))
"""RGB in six steps a channel."""


def even(image: Image.Image) -> Image.Image:
    """`image` with a byte a channel and no palette: L, RGB, CMYK or LAB, or RGBA if any of it may be transparent."""
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits to 8; the upper ones are the picture.
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in ("I", "F"):
        return _stretched(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def srgb_on_white(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An `even` picture in sRGB, on white; `profile` is the ICC profile in its file.

    A profile that cannot be read, or is of another kind than the pixels, counts as none, as in browsers.
    """
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "LAB":
        return ImageCms.buildTransform(LAB, SRGB, "LAB", "RGB").apply(image)
    if profile and len(profile) <= MOST_PROFILE_BYTES and (transform := _to_srgb(profile, image.mode)):
        return transform.apply(image)
    return image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """A picture of 32 bits from black, its darkest value, to white, its brightest: nothing says what they mean."""
    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    span = np.ptp(values) or 1.0
    return Image.fromarray(((values - values.min()) * (255 / span)).astype(np.uint8))


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from `profile` to sRGB for pixels in `mode`; None if there is none, or none worth going."""
    try:
        transform = ImageCms.buildTransform(ImageCms.getOpenProfile(io.BytesIO(profile)), SRGB, mode, "RGB")
    except ImageCms.PyCMSError:
        return None
    colours = Image.frombytes("RGB", (len(LATTICE) // 3, 1), LATTICE).convert(mode)
    moved = np.asarray(colours.convert("RGB"), np.int16) - np.asarray(transform.apply(colours), np.int16)
    return transform if np.abs(moved).max() > IMPERCEPTIBLE else None
