"""Measures of images: pictures a second on one core, how much of that is decoding, and what the bound on blur drops.

    python -m benchmarks.curate_images

Pictures are real photographs, stored as a gathering job stores them. CPU time throughout.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TypeVar

import cv2
import simplejpeg

from jobs.command import InputError, run_command
from pipeline.images import ImageConfig, ImageError, make_frame
from pipeline.pixels import frame_pixels
from pipeline.rules.image import DECODED_SIDE, measure_frame, measure_image
from shards.document import Frame, Media

Thing = TypeVar("Thing")
SETS = {
    "coco": "images-captions/coco-by/images",
    "cooking": "sites/based-cooking/pix",
    "vizwiz": "vqa/vizwiz",
}
"""Photographs of three kinds, the last by people who cannot see what they take."""
SUFFIXES = (".jpg", ".jpeg", ".webp", ".png")
LEAST_SHARPNESS = 30.0
"""The bound that recipes/curate/m3w.yaml names."""
BLUR = 4.0
"""Sigma, in pixels at a shorter side of 512, of the blur of which it is to drop everything."""


@dataclass(frozen=True, kw_only=True)
class ImagesBenchmarkConfig:
    """A run of `benchmarks.curate_images`."""

    material: Path = Path("../shared/material")
    """Folder with the real material."""
    rounds: int = 3
    """Rounds over all pictures; a figure is the median over them."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or greater")


def run(config: ImagesBenchmarkConfig) -> None:
    """Prints a figure a line, and one line of JSON."""
    figures = image_figures(config)
    for name, value in figures.items():
        print(f"{name:32} {value:.4g}")
    print(json.dumps({"figures": figures}))


def image_figures(config: ImagesBenchmarkConfig) -> dict[str, float]:
    """Every figure by its name. Raises InputError if the photographs are absent."""
    frames = {name: stored(config.material / folder) for name, folder in SETS.items()}
    every = [frame for kind in frames.values() for frame in kind]
    media = [
        Media(kind="image", frames=(frame,), url="https://a.org/img/photo-1.jpg", alt="A photo") for frame in every
    ]
    measuring = seconds(measure_image, media, config.rounds)
    decoding = seconds(lambda frame: frame_pixels(frame, DECODED_SIDE), every, config.rounds)
    return {
        "images": float(len(every)),
        "image_measures_images_per_second": len(every) / measuring,
        "image_measures_share_of_decoding": decoding / measuring,
        **{f"kept_{name}": 1 - under(kind) for name, kind in frames.items()},
        "blurred_dropped": under([blurred(frame) for frame in every]),
    }


def stored(folder: Path) -> list[Frame]:
    """The photographs of a folder as they are stored by default. Raises InputError if there is none."""
    frames = list[Frame]()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        try:
            frames.append(make_frame(path.read_bytes(), ImageConfig()).frame)
        except ImageError:
            continue  # broken ones lie among them on purpose
    if not frames:
        raise InputError(f"{folder} holds no photograph; name the folder of the real material with --material")
    return frames


def seconds(function: Callable[[Thing], object], things: Sequence[Thing], rounds: int) -> float:
    """The median over `rounds` of the CPU time for all of `things`."""
    taken = list[float]()
    for _ in range(rounds):
        started = time.process_time()
        for thing in things:
            function(thing)
        taken.append(time.process_time() - started)
    return median(taken)


def under(frames: Iterable[Frame]) -> float:
    """The share of `frames` that the bound on sharpness drops."""
    sharp = [measure_frame(frame)["sharpness"] >= LEAST_SHARPNESS for frame in frames]
    return sharp.count(False) / len(sharp)


def blurred(frame: Frame) -> Frame:
    """The same picture out of focus."""
    pixels = cv2.GaussianBlur(frame_pixels(frame, DECODED_SIDE), (0, 0), BLUR * min(frame.width, frame.height) / 512)
    return replace(frame, data=simplejpeg.encode_jpeg(pixels, 90, "RGB", "420"), format="jpg")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(ImagesBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
