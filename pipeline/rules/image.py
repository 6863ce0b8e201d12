"""Measures of one image: its size, its colours and how sharp it is, and what its address and alt text say of it.

Pictures are measured as they are stored: upright, in sRGB, with at most 512 pixels on the shorter side unless the job
that gathered them said otherwise. So a least side above 512 pixels would drop all that were larger than it.
"""

import io
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.pixels import frame_pixels
from pipeline.rules.bounds import Measure
from pipeline.rules.image_names import NAME_MEASURES, measure_name
from shards.document import Frame, Media

SHARPNESS_SIDE = 256
"""Sharpness is measured with at most so many pixels on the shorter side: it falls with the size of a picture."""
DECODED_SIDE = 512
"""A file that was kept as it came is made no larger than this before it is measured: what is stored by default."""

PIXEL_MEASURES: Mapping[str, Measure] = {
    "side": Measure(what="pixels of the shorter side (Flamingo, appendix A.3.1: 64; OBELICS, MMC4: 150)", least=1),
    "aspect": Measure(what="longer side over shorter side (Flamingo, appendix A.3.1: 3; OBELICS, MMC4: 2)", least=1),
    "colour_spread": Measure(what="largest standard deviation of a channel; 0 is a single colour", most=127.5),
    "sharpness": Measure(what="variance of the Laplacian of the grey picture at 256 pixels; photographs have over 150"),
    "frames": Measure(what="pictures in the stored file; more than 1 is an animation", least=1),
}
IMAGE_MEASURES: Mapping[str, Measure] = {**PIXEL_MEASURES, **NAME_MEASURES}


def measure_image(image: Media) -> dict[str, float]:
    """The measures of `IMAGE_MEASURES`. Raises ValueError if the picture cannot be decoded."""
    (frame,) = image.frames
    return measure_frame(frame) | measure_name(image.url, image.alt)


def measure_frame(frame: Frame) -> dict[str, float]:
    """The measures of `PIXEL_MEASURES` of a stored picture. Raises ValueError if it cannot be decoded."""
    pixels = frame_pixels(frame, DECODED_SIDE)
    return {
        "side": float(shorter_side(frame.width, frame.height)),
        "aspect": aspect(frame.width, frame.height),
        "colour_spread": colour_spread(pixels),
        "sharpness": sharpness(pixels),
        "frames": float(frame_count(frame)),
    }


def shorter_side(width: int, height: int) -> int:
    """Pixels of the shorter side (Flamingo, appendix A.3.1: under 64 is dropped)."""
    return min(width, height)


def aspect(width: int, height: int) -> float:
    """The longer side over the shorter one (Flamingo, appendix A.3.1: over 3 is dropped)."""
    return max(width, height) / min(width, height)


def colour_spread(pixels: npt.NDArray[np.uint8]) -> float:
    """The largest standard deviation of a channel of `uint8[height, width, 3]`, 0 to 127.5; 0 is a single colour."""
    _, deviations = cv2.meanStdDev(pixels)
    return float(deviations.max())


def sharpness(pixels: npt.NDArray[np.uint8]) -> float:
    """The variance of the Laplacian of `uint8[height, width, 3]` in grey, shrunk to `SHARPNESS_SIDE`; low is blurred.

    After Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000 (LAPV). Of 71 photographs none had
    less than 153; blurred by a Gaussian of 4 pixels at a shorter side of 512, none had more than 27.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = SHARPNESS_SIDE / min(grey.shape)
    if scale < 1:
        size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0] ** 2)


def frame_count(frame: Frame) -> int:
    """How many pictures its file holds: PNG and WebP that were kept as they came may be animated."""
    if frame.format == "jpg":
        return 1
    with Image.open(io.BytesIO(frame.data), formats=("PNG", "WEBP")) as image:
        return getattr(image, "n_frames", 1)
