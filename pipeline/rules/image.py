"""Measures of one image."""

import cv2
import numpy as np
import numpy.typing as npt


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
