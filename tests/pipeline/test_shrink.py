"""Pictures made smaller: as close to a careful filter as Pillow's own, whatever the factor and the mode."""

import numpy as np
import pytest
from PIL import Image

from pipeline.shrink import shrink


def scene(mode: str = "RGB") -> Image.Image:
    """Smooth shapes, edges and fine stripes at once."""
    y, x = np.mgrid[0:360, 0:480]
    red = 127 + 120 * np.sin(x / 37) * np.cos(y / 23)
    green = np.where((x // 37 + y // 37) % 2, 220, 30)
    blue = 127 + 120 * np.sin(x * y / 900)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8)).convert(mode)


def distance(one: Image.Image, other: Image.Image) -> float:
    """The mean squared difference of two pictures."""
    return float(np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("factor", [1.02, 1.25, 1.5, 1.875, 2.0])
def test_it_is_as_close_to_a_careful_filter_as_hamming_is(mode, factor):
    image = scene(mode)
    size = round(480 / factor), round(360 / factor)
    careful = image.resize(size, Image.Resampling.LANCZOS)
    found = shrink(image, size)
    assert (found.size, found.mode) == (size, mode)
    assert distance(found, careful) <= 1.1 * distance(image.resize(size, Image.Resampling.HAMMING), careful)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
def test_much_smaller_pictures_and_other_modes_are_left_to_pillow(mode):
    image = scene("RGB").convert(mode)
    expected = image.resize((100, 75), Image.Resampling.HAMMING)
    assert distance(shrink(image, (100, 75)), expected) == 0
    assert shrink(image, (400, 300)).mode == mode


def test_a_picture_of_the_right_size_is_left_alone():
    image = scene()
    assert shrink(image, image.size) is image


def test_stripes_finer_than_the_result_become_grey_and_no_new_stripes():
    stripes = np.zeros((200, 200), np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(shrink(Image.fromarray(stripes), (101, 101)), float)[:, 2:-2]
    assert np.ptp(small.reshape(-1, 1)) < 200
    assert abs(small.mean() - 127.5) < 3
