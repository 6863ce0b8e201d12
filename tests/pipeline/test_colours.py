"""Pixels in every mode that a file may have them, and profiles that say what their numbers mean."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.colours import even, srgb_on_white


def shown(image: Image.Image, profile: bytes | None = None) -> np.ndarray:
    """int[H, W, 3] of the picture in sRGB on white."""
    converted = srgb_on_white(even(image), profile)
    assert converted.mode == "RGB"
    return np.asarray(converted, int)


def swapped_profile() -> bytes:
    """An ICC profile in which red and green have changed places: the offsets of their tags (ICC.1, 7.3) are swapped."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    places = {bytes(profile[at : at + 4]): at + 4 for at in range(132, 132 + 12 * count, 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red : red + 8], profile[green : green + 8] = profile[green : green + 8], profile[red : red + 8]
    return bytes(profile)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (0, 51), (204, 204, 204)),  # 255 - 51: black, one fifth opaque
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (255, 128, 128), (255, 255, 255)),
        ("I;16", 0x8000, (128, 128, 128)),
        ("I;16B", 0xFFFF, (255, 255, 255)),
        ("LAB", (255, 128, 128), (255, 255, 255)),  # lightness 100 %, no colour
    ],
)
def test_each_mode_becomes_rgb(mode, colour, expected):
    assert np.abs(shown(Image.new(mode, (4, 4), colour)) - expected).max() <= 1


def test_a_palette_keeps_its_colours_and_its_hole():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    assert shown(image).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    image.info["transparency"] = 1
    assert shown(image).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_a_transparent_colour_of_a_plain_picture_is_white():
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    image.info["transparency"] = (9, 9, 9)
    assert shown(image).tolist() == [[[1, 2, 3], [255, 255, 255]]]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bits_are_stretched_from_black_to_white(kind):
    image = Image.fromarray(np.array([[-1000, 0, 1000]], kind))
    assert shown(image)[0, :, 0].tolist() == [0, 127, 255]
    assert shown(Image.fromarray(np.full((2, 2), 7, kind))).max() == 0


def test_numbers_that_are_none_do_no_harm():
    image = Image.fromarray(np.array([[np.nan, np.inf, 0, 10]], np.float32))
    assert shown(image)[0, :, 0].tolist() == [0, 0, 0, 255]


def test_a_profile_is_followed():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    assert np.abs(shown(red, swapped_profile()) - (0, 255, 0)).max() <= 2


def test_a_profile_that_is_srgb_changes_nothing():
    pixels = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)
    assert (shown(Image.fromarray(pixels), srgb_profile()) == pixels).all()


@pytest.mark.parametrize("profile", [b"", b"no profile", srgb_profile()[:300], bytes(2_000_000)])
def test_a_profile_that_cannot_be_read_counts_as_none(profile):
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    assert shown(red, profile)[0, 0].tolist() == [255, 0, 0]


def test_a_profile_of_another_kind_than_the_pixels_counts_as_none():
    assert shown(Image.new("L", (4, 4), 99), swapped_profile())[0, 0].tolist() == [99, 99, 99]
    assert shown(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), swapped_profile())[0, 0].tolist() == [255, 0, 0]


def test_a_profile_survives_the_way_through_a_file():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, "PNG", icc_profile=swapped_profile())
    image = Image.open(buffer)
    assert np.abs(shown(image, image.info["icc_profile"]) - (0, 255, 0)).max() <= 2
