"""What becomes of the bytes of an image."""

import io
import random
from pathlib import Path

import pytest
from PIL import Image

from pipeline.images import ImageConfig, ImageError, make_frame
from pipeline.rules.image import aspect, colour_spread, shorter_side

CONFIG = ImageConfig()
REASONS = {"not_an_image", "too_many_pixels", "broken_image", "small_side", "aspect", "single_colour"}


def picture(width: int = 100, height: int = 80, mode: str = "RGB") -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert(mode)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def reason(data: bytes, config: ImageConfig = CONFIG) -> str:
    with pytest.raises(ImageError) as caught:
        make_frame(data, config)
    return caught.value.reason


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP", "TIFF"])
def test_formats_become_jpeg(format):
    frame = make_frame(encoded(picture(), format), CONFIG)
    assert (frame.format, frame.width, frame.height) == ("jpg", 100, 80)
    assert opened(frame.data).format == "JPEG"


def test_large_images_are_stored_at_the_bounded_side():
    frame = make_frame(encoded(picture(2048, 1024)), CONFIG)
    assert (frame.width, frame.height) == (1024, 512)
    assert opened(frame.data).size == (1024, 512)


def test_alpha_is_laid_on_white():
    image = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 50, 100))
    stored = opened(make_frame(encoded(image), CONFIG).data)
    assert min(stored.getpixel((90, 50))) > 250  # pyright: ignore
    red = stored.getpixel((10, 50))
    assert red[0] > 240  # pyright: ignore
    assert max(red[1:]) < 15  # pyright: ignore


def test_sixteen_bits_keep_their_picture():
    image = Image.new("I;16", (100, 100), 0)
    image.paste(65535, (0, 0, 50, 100))
    stored = opened(make_frame(encoded(image), CONFIG).data)
    assert stored.getpixel((10, 50)) >= (250, 250, 250)  # pyright: ignore
    assert stored.getpixel((90, 50)) <= (5, 5, 5)  # pyright: ignore


def test_exif_rotation_is_applied():
    image = picture(100, 80)
    exif = image.getexif()
    exif[0x0112] = 6
    frame = make_frame(encoded(image, "JPEG", exif=exif), CONFIG)
    assert (frame.width, frame.height) == (80, 100)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (encoded(picture(63, 200)), "small_side"),
        (encoded(picture(64, 193)), "aspect"),
        (encoded(Image.new("RGB", (100, 100), "teal")), "single_colour"),
        (encoded(picture(500, 500))[:-300], "broken_image"),
    ],
)
def test_each_refusal_has_its_reason(data, expected):
    assert reason(data) == expected


def test_the_bounds_themselves_pass():
    assert make_frame(encoded(picture(64, 192)), CONFIG).width == 64


def test_a_bomb_is_refused_by_its_header():
    assert reason(encoded(picture(400, 300)), ImageConfig(max_pixels=119_999)) == "too_many_pixels"


def test_measures_have_the_values_computed_by_hand():
    assert shorter_side(30, 20) == 20
    assert aspect(30, 20) == aspect(20, 30) == 1.5
    half = Image.new("RGB", (32, 32), "black")
    half.paste("white", (0, 0, 16, 32))
    assert colour_spread(half) == pytest.approx(127.5)
    assert colour_spread(Image.new("RGB", (9, 9), "red")) == 0


def test_odd_real_images_give_a_frame_or_a_reason(material: Path):
    kept, reasons = 0, set[str]()
    for path in sorted((material / "images-captions" / "odd").iterdir()):
        try:
            frame = make_frame(path.read_bytes(), CONFIG)
        except ImageError as error:
            reasons.add(error.reason)
        else:
            kept += 1
            assert opened(frame.data).mode == "RGB"
    assert kept >= 10
    assert reasons <= REASONS


def test_mutated_images_give_a_frame_or_a_reason(material: Path):
    originals = [path.read_bytes() for path in sorted((material / "images-captions" / "odd").iterdir())]
    originals = [data for data in originals if len(data) < 300_000]
    choice, reasons = random.Random(20261121), set[str]()
    for _ in range(300):
        data = bytearray(choice.choice(originals))
        for _ in range(choice.randrange(1, 20)):
            if data:
                data[choice.randrange(len(data))] = choice.randrange(256)
        try:
            frame = make_frame(bytes(data), ImageConfig(max_pixels=4_000_000))
        except ImageError as error:
            reasons.add(error.reason)
        else:
            assert frame.data.startswith(b"\xff\xd8")
    assert {"broken_image"} <= reasons <= REASONS


@pytest.mark.parametrize(("field", "value"), [("min_side", 0), ("max_aspect", 0.5), ("quality", 96)])
def test_a_config_that_cannot_work_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"image\.{field} is {value}"):
        ImageConfig(**{field: value})
