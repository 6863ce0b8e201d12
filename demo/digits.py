"""The pictures of the demo: scikit-learn's 1,797 handwritten digits, a fifth of which training never sees."""

from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CELLS = 8  # a digit is 8 x 8 cells ...
GREY_LEVELS = 16  # ... of ink from 0 (paper) to 16
HELD_OUT_SHARE = 0.2
SPLIT_SEED = 0
BOLD_INK = 313  # the median of the set's sums of ink: half of the digits are bold


@dataclass(frozen=True, kw_only=True, slots=True)
class Digit:
    """A handwritten digit: its row in scikit-learn's set, what it shows, and its 64 cells, row by row."""

    row: int
    value: int
    ink: bytes

    @property
    def word(self) -> str:
        """What it shows, in English."""
        return WORDS[self.value]

    @property
    def stroke(self) -> str:
        """How it is written, measured from its ink: `bold` or `fine`."""
        return "bold" if sum(self.ink) > BOLD_INK else "fine"


@cache
def split_digits() -> tuple[tuple[Digit, ...], tuple[Digit, ...]]:
    """All digits in two parts, 1,437 for training and 360 held out, each with every value in proportion."""
    drawings, values = (np.asarray(part, dtype=np.uint8) for part in load_digits(return_X_y=True))
    everything = [
        Digit(row=row, value=int(value), ink=cells.tobytes())
        for row, (value, cells) in enumerate(zip(values, drawings, strict=True))
    ]
    training, held_out = train_test_split(
        everything, test_size=HELD_OUT_SHARE, random_state=SPLIT_SEED, stratify=values
    )
    return tuple(training), tuple(held_out)


def draw(digit: Digit, side: int = 96) -> Image.Image:
    """The digit as a grey picture of `side` px, smoothly scaled: dark ink on white with a cell of margin."""
    shades = bytes(255 - 255 * cell // GREY_LEVELS for cell in digit.ink)
    cells = Image.frombytes("L", (CELLS, CELLS), shades)
    return ImageOps.expand(cells, border=1, fill=255).resize((side, side), Image.Resampling.BICUBIC)


def encode(picture: Image.Image, suffix: str) -> bytes:
    """The picture as the bytes of a file that ends in `suffix`: png, jpg or webp."""
    file = BytesIO()
    picture.save(file, format={"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix], quality=90)
    return file.getvalue()
