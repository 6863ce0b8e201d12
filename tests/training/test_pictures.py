"""Pictures in squares: aspect, padding, what cannot be decoded, and the shortcut for JPEGs beside Pillow alone."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from squares import COLOURS, picture

from model.image import fit
from shards.document import Frame
from training.data.appearance import UNCHANGED, Appearance, change
from training.data.pictures import BadMedia, Canvas, decode, draw, fitted_size

CANVAS = Canvas(size=8, mean=(0.5, 0.25, 0.0))


def drawn(data: bytes, canvas: Canvas = CANVAS, appearance: Appearance = UNCHANGED) -> np.ndarray:
    square = np.full((canvas.size, canvas.size, 3), 77, dtype=np.uint8)
    draw(Frame(data=data, format="png", width=1, height=1), canvas, appearance, square)
    return square


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (3, 2), (5, 900), (8, 8)])
def test_a_picture_keeps_its_aspect_on_the_mean_colour(size):
    square = drawn(picture("red", size).data)
    ours = (square == COLOURS["red"]).all(axis=-1)

    width, height = fitted_size(size, 8)
    assert max(width, height) == 8
    assert ours.sum() == width * height
    assert (square[~ours] == (128, 64, 0)).all()


def test_a_transparent_picture_shows_the_mean_colour():
    assert (drawn(encoded(Image.new("RGBA", (6, 6)))) == (128, 64, 0)).all()


@pytest.mark.parametrize("data", [b"", b"no picture", picture("red").data[:60]])
def test_a_picture_that_cannot_be_decoded(data):
    with pytest.raises(BadMedia, match=r"^picture_undecodable$"):
        decode(data, CANVAS)


def test_a_cut_jpeg_cannot_be_decoded():
    data = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")
    with pytest.raises(BadMedia, match=r"^picture_undecodable$"):
        decode(data[: len(data) // 2], CANVAS)


def test_a_picture_with_too_many_pixels_is_not_decoded():
    with pytest.raises(BadMedia, match=r"^picture_too_large$"):
        decode(encoded(Image.new("1", (9000, 8000))), CANVAS)


def test_a_jpeg_is_turned_upright():
    halves = Image.new("RGB", (16, 8))
    halves.paste((255, 255, 255), (8, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise makes it upright

    pixels = decode(encoded(halves, "JPEG", exif=exif), CANVAS)

    assert pixels.shape == (8, 4, 3)
    assert pixels[0].max() < 30
    assert pixels[-1].min() > 225


@pytest.mark.parametrize("side", [64, 224, 320])
def test_photographs_are_those_of_pillow_alone(material: Path, side: int):
    files = sorted((material / "images-captions").rglob("*.jpg"))[:40]
    assert files
    for path in files:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if image.mode != "RGB" or min(image.size) < side:
                continue
            upright = ImageOps.exif_transpose(image)
            canvas = Canvas(size=side, mean=(0.5, 0.5, 0.5))
            expected = fit(upright, side, canvas.mean).transpose(1, 2, 0)
        error = np.mean((drawn(data, canvas).astype(float) - expected) ** 2)
        assert 10 * np.log10(255**2 / max(error, 1e-3)) > 30, path


def test_a_changed_picture_is_that_of_pillow():
    pixels = np.random.default_rng(0).integers(30, 190, (24, 32, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    appearance = Appearance(mirrored=True, brightness=1.1, contrast=0.8, saturation=1.15)

    changed = change(pixels, appearance)

    expected = image
    for enhance, factor in ((ImageEnhance.Color, 1.15), (ImageEnhance.Brightness, 1.1), (ImageEnhance.Contrast, 0.8)):
        expected = enhance(expected).enhance(factor)
    difference = np.abs(changed.astype(int) - np.asarray(ImageOps.mirror(expected)))
    assert difference.max() <= 3


def test_an_unchanged_picture_is_left_alone():
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    assert change(pixels, UNCHANGED) is pixels
