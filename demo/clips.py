"""The demo's films: short mp4 files of training digits, one after another, each with its caption beside it."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

import av
from PIL import Image

from demo.digits import Digit, draw, split_digits

SIDE = 96  # px
RATE = 10  # frames a second
SECONDS_PER_DIGIT = (1, 2)
LENGTHS = (8, 20)  # seconds
OPENINGS = ("A film of", "A short film that shows", "Handwritten digits:", "A clip of", "On the screen:")


def write_clips(folder: Path, count: int = 60, seed: int = 0) -> list[Path]:
    """Writes `count` films and beside each `x.mp4` its caption `x.txt`; returns the films."""
    random = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    training, _ = split_digits()
    films = [folder / f"clip-{number:02}.mp4" for number in range(count)]
    for film in films:
        seconds_each = random.choice(SECONDS_PER_DIGIT)
        digits = random.sample(training, random.randint(*LENGTHS) // seconds_each)
        write_film(film, [draw(digit, SIDE) for digit in digits], seconds_each)
        film.with_suffix(".txt").write_text(caption(digits, random) + "\n", encoding="utf-8")
    return films


def caption(digits: Sequence[Digit], random: Random) -> str:
    """What the film shows, in order: `A film of three, then seven.`"""
    return f"{random.choice(OPENINGS)} {', then '.join(digit.word for digit in digits)}."


def write_film(file: Path, pictures: Sequence[Image.Image], seconds_each: int) -> None:
    """Encodes the pictures as H.264, each shown for `seconds_each` seconds."""
    with av.open(file, "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_image(picture.convert("RGB"))
            for _ in range(seconds_each * RATE):
                frame.pts = None
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
