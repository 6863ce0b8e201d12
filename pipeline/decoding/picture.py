"""From a decoded frame to an upright JPEG in square pixels."""

import io
from fractions import Fraction

from PIL import Image

JPEG_QUALITY = 90
PIXEL_ASPECTS = (Fraction(1, 4), Fraction(4))  # beyond, a header is damaged: no camera or disc has such pixels
QUARTER_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def fitted_size(width: int, height: int, pixel_aspect: Fraction | None, short_side: int) -> tuple[int, int]:
    """Width and height in square pixels, the shorter at most `short_side`; nothing is enlarged to reach it."""
    narrowest, widest = PIXEL_ASPECTS
    if pixel_aspect is None or not narrowest <= pixel_aspect <= widest:
        pixel_aspect = Fraction(1)
    shown_width = width * pixel_aspect
    scale = min(Fraction(1), short_side / min(shown_width, Fraction(height)))
    return max(1, round(shown_width * scale)), max(1, round(height * scale))


def turned(image: Image.Image, degrees: float) -> Image.Image:
    """`image` turned counterclockwise by the nearest quarter to `degrees`."""
    turn = QUARTER_TURNS.get(round(degrees / 90) * 90 % 360)
    return image if turn is None else image.transpose(turn)


def on_black(image: Image.Image) -> Image.Image:
    """`image` without its alpha: over black, as players show it."""
    background = Image.new("RGB", image.size)
    background.paste(image, mask=image.getchannel("A"))
    return background


def jpeg_bytes(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()
