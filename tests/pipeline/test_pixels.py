"""Pictures made smaller: as close to a careful filter as Pillow's own, whatever the format, the factor and the mode."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from pipeline.pixels import shown_pixels, shrink


def scene(mode: str = "RGB") -> Image.Image:
    """Smooth shapes, edges and fine stripes at once."""
    y, x = np.mgrid[0:360, 0:480]
    red = 127 + 120 * np.sin(x / 37) * np.cos(y / 23)
    green = np.where((x // 37 + y // 37) % 2, 220, 30)
    blue = 127 + 120 * np.sin(x * y / 900)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def shown(data: bytes, side: int) -> np.ndarray:
    return shown_pixels(Image.open(io.BytesIO(data)), data, side)


def distance(one: object, other: object) -> float:
    """The mean squared difference of two pictures."""
    return float(np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2))


def assert_as_careful_as_pillow(jpeg: bytes, found: np.ndarray, size: tuple[int, int]) -> None:
    """No further from Lanczos than the worse of Pillow's ways: Hamming, and its own draft at a power of two."""
    whole = Image.open(io.BytesIO(jpeg)).convert("RGB")
    careful = whole.resize(size, Image.Resampling.LANCZOS)
    draft = Image.open(io.BytesIO(jpeg))
    drafted = draft.draft("RGB", size)
    box = drafted[1] if drafted else None
    reduced = draft.convert("RGB").resize(size, Image.Resampling.HAMMING, box)
    allowed = max(distance(whole.resize(size, Image.Resampling.HAMMING), careful), distance(reduced, careful))
    assert found.shape == (size[1], size[0], 3)
    assert distance(found, careful) <= 1.5 * allowed + 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("factor", [1.02, 1.25, 1.5, 1.875, 2.0])
def test_shrinking_is_as_close_to_a_careful_filter_as_hamming_is(mode, factor):
    image = scene(mode)
    size = round(480 / factor), round(360 / factor)
    careful = image.resize(size, Image.Resampling.LANCZOS)
    found = shrink(np.asarray(image), size)
    assert found.shape[:2] == size[::-1]
    assert distance(found, careful) <= 1.1 * distance(image.resize(size, Image.Resampling.HAMMING), careful)


def test_a_picture_of_the_right_size_is_left_alone():
    pixels = np.asarray(scene())
    assert shrink(pixels, (480, 360)) is pixels


def test_stripes_finer_than_the_result_become_grey_and_no_new_stripes():
    stripes = np.zeros((200, 200), np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(shrink(stripes, (101, 101)), float)[:, 2:-2]
    assert np.ptp(small.reshape(-1, 1)) < 200
    assert abs(small.mean() - 127.5) < 3


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("side", [20, 44, 45, 90, 100, 135, 179, 180, 200, 225, 269, 270, 300, 359, 360, 500])
def test_a_jpeg_at_any_size_is_close_to_its_whole_made_smaller_with_care(mode, side):
    data = encoded(scene(mode), "JPEG", quality=95, subsampling=0)
    assert_as_careful_as_pillow(data, shown(data, side), (round(480 * min(1, side / 360)), min(side, 360)))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "TIFF"])
def test_other_formats_much_too_large_are_left_to_pillow(format):
    data = encoded(scene(), format)
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    assert distance(shown(data, 75), whole.resize((100, 75), Image.Resampling.HAMMING)) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_the_same_picture_in_png_is(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    jpeg, png = (
        encoded(scene(), format, exif=exif, **options) for format, options in [("JPEG", {"quality": 95}), ("PNG", {})]
    )
    assert shown(jpeg, 180).shape == shown(png, 180).shape
    assert distance(shown(jpeg, 180), shown(png, 180)) < 60


def test_a_jpeg_with_a_flaw_is_shown_as_pillow_shows_it_and_one_without_its_end_is_refused():
    data = encoded(scene(), "JPEG", quality=90)
    tables = data.index(b"\xff\xdb")
    flawed = data[:tables] + b"\0\0\0" + data[tables:]  # libjpeg skips them with a warning
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(flawed)
    assert distance(shown(flawed, 360), Image.open(io.BytesIO(flawed))) == 0
    with pytest.raises(OSError, match="truncated"):
        shown(data[: len(data) // 2], 360)


def test_real_jpegs_are_shown_with_the_same_care(material: Path):
    files = sorted((material / "images-captions" / "coco-by").rglob("*.jpg"))
    plain = [file for file in files if b"ICC_PROFILE" not in file.read_bytes()]
    for file in random.Random(0).sample(plain, 12):
        found = shown(file.read_bytes(), 256)
        assert_as_careful_as_pillow(file.read_bytes(), found, (found.shape[1], found.shape[0]))
