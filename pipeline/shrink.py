"""A picture made smaller: as even as by Pillow's own filters, in a third of their time."""

import math

import cv2
import numpy as np
from PIL import Image

BLUR = 0.45
"""Sigma of the blur in pixels, by the root of the factor's square less one.

With it the result is no further from Lanczos than Hamming is, at any factor.
"""
FILTERED_IN_PLACE = 2.0
"""Up to this factor three by three pixels are enough of a filter."""

cv2.setNumThreads(1)  # pictures are spread over threads already, one each


def shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`image` at `size` pixels, which are no more than it has.

    A JPEG that was decoded at the next larger half, quarter or eighth is at most twice as large as it is wanted. For
    that a small blur and a bicubic step are enough against patterns that were not there, and both run on vectors.
    """
    factor = max(image.width / size[0], image.height / size[1])
    if factor == 1:
        return image
    if factor > FILTERED_IN_PLACE or image.mode not in ("L", "RGB"):
        # Hamming leaves as much contrast between neighbours as bicubic does, in two thirds of the time.
        return image.resize(size, Image.Resampling.HAMMING)
    blurred = cv2.GaussianBlur(np.asarray(image), (3, 3), BLUR * math.sqrt(factor**2 - 1))
    return Image.fromarray(cv2.resize(blurred, size, interpolation=cv2.INTER_CUBIC))
