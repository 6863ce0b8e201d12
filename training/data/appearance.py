"""How the picture of a pair is changed before it is shown: mirrored, and its colours stretched a little.

The paper flips and changes colours of pairs and does not say by how much (section A.3.2). Decided here: brightness,
contrast and saturation, each by a factor drawn evenly around 1; no hue, since captions name colours.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.chance import Chance

Pixels = NDArray[np.uint8]
LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in a pixel's grey (ITU-R BT.601, as Pillow has them)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """One change of pictures; the factors are 1 for none."""

    mirrored: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0


UNCHANGED = Appearance()


def choose_appearance(flip_chance: float, colour_jitter: float, chance: Chance) -> Appearance:
    """Mirrored with `flip_chance`; each factor from 1 - `colour_jitter` to 1 + `colour_jitter`."""
    names = ("brightness", "contrast", "saturation")
    factors = {name: 1 + colour_jitter * (2 * chance.uniform(name) - 1) for name in names}
    return Appearance(mirrored=chance.uniform("flip") < flip_chance, **factors)


def change(pixels: Pixels, appearance: Appearance) -> Pixels:
    """uint8[height, width, 3] with its colours changed, mirrored where that was drawn.

    All three factors are one affine map of a pixel: it is mixed with its grey, then scaled, then moved away from or
    towards the picture's mean grey.
    """
    if appearance == UNCHANGED:
        return pixels
    matrix = appearance.contrast * appearance.brightness * _saturate(appearance.saturation)
    mean_grey = appearance.brightness * float(np.dot(pixels.mean(axis=(0, 1)), LUMA))
    offset = np.full((3, 1), (1 - appearance.contrast) * mean_grey)
    changed = cv2.transform(np.ascontiguousarray(pixels), np.hstack([matrix, offset]))
    return np.asarray(changed[:, ::-1] if appearance.mirrored else changed, np.uint8)


def _saturate(factor: float) -> NDArray[np.float64]:
    """float64[3, 3]: the map that mixes each channel with the pixel's grey."""
    return factor * np.eye(3) + (1 - factor) * np.ones((3, 1)) * LUMA
