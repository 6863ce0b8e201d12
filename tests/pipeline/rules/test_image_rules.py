"""Measures of images against values counted by hand, and presets' rules on pictures made for them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipeline.images import ImageConfig, make_frame
from pipeline.rules.bounds import Bounds, check_rules, refusal
from pipeline.rules.image import (
    IMAGE_MEASURES,
    colour_spread,
    measure_frame,
    measure_image,
    sharpness,
)
from pipeline.rules.image_names import measure_name
from shards.document import Frame, ImageFormat, Media


def frame(image: Image.Image, format: ImageFormat = "png", **options: object) -> Frame:
    buffer = io.BytesIO()
    image.save(buffer, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[format], **options)
    return Frame(data=buffer.getvalue(), format=format, width=image.width, height=image.height)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def laplacian_variance(grey: np.ndarray) -> float:
    """By its definition, with the border mirrored around its last row and column, as OpenCV does by default."""
    padded = np.pad(grey.astype(float), 1, mode="reflect")
    centre = padded[1:-1, 1:-1]
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return float(np.var(around - 4 * centre))


def names(url: str, alt: str = "") -> dict[str, float]:
    """The measures of a name that are not 0."""
    return {name: value for name, value in measure_name(url, alt).items() if value}


def test_every_measure_is_declared_taken_and_in_its_range():
    media = Media(kind="image", frames=(frame(noise(90, 70), "jpg"),), url="https://a.org/logo.gif", alt="A widget")
    taken = measure_image(media)
    assert set(taken) == set(IMAGE_MEASURES)
    for name, value in taken.items():
        assert IMAGE_MEASURES[name].least <= value <= IMAGE_MEASURES[name].most


def test_sides_are_those_of_the_stored_picture():
    measured = measure_frame(frame(noise(300, 100)))
    assert (measured["side"], measured["aspect"]) == (100, 3)
    assert measure_frame(frame(noise(100, 300)))["aspect"] == 3


def test_sharpness_is_the_variance_of_the_laplacian():
    image = noise(60, 50)
    assert sharpness(np.asarray(image)) == pytest.approx(laplacian_variance(np.asarray(image.convert("L"))), rel=0.02)


def test_stripes_of_one_pixel_are_as_sharp_as_counted_by_hand():
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 200  # the Laplacian is 400 beside each black pixel and -400 at each white one
    assert sharpness(stripes) == pytest.approx(400**2)
    assert colour_spread(stripes) == pytest.approx(100)


def test_a_large_picture_is_as_sharp_as_the_same_made_smaller():
    large = noise(256, 256).resize((512, 512), Image.Resampling.NEAREST)
    assert sharpness(np.asarray(large)) == pytest.approx(sharpness(np.asarray(noise(256, 256))))


def test_the_more_blurred_the_less_sharp(material: Path):
    with Image.open(material / "images-captions" / "coco-by" / "images" / "000000290843.jpg") as photograph:
        values = [
            sharpness(np.asarray(photograph.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4, 8)
        ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 100
    assert values[-2] < 30


def test_animations_are_counted_where_the_file_was_kept_as_it_came():
    pictures = [Image.new("RGB", (80, 80), colour) for colour in ("red", "green", "blue")]
    for format in ("png", "webp"):
        moving = frame(pictures[0], format, save_all=True, append_images=pictures[1:])
        assert measure_frame(moving)["frames"] == 3
        assert measure_frame(frame(pictures[0], format))["frames"] == 1
    assert measure_frame(frame(pictures[0], "jpg"))["frames"] == 1


def test_a_file_kept_as_it_came_measures_nearly_as_the_one_that_is_stored_by_default(material: Path):
    data = (material / "images-captions" / "coco-by" / "images" / "000000290843.jpg").read_bytes()
    kept, stored = (measure_frame(make_frame(data, ImageConfig(keep_original=keep)).frame) for keep in (True, False))
    assert kept["sharpness"] == pytest.approx(stored["sharpness"], rel=0.1)
    assert kept["colour_spread"] == pytest.approx(stored["colour_spread"], rel=0.01)


def test_a_picture_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"^a png of 7 bytes cannot be decoded: cannot identify image file"):
        measure_frame(Frame(data=b"no file", format="png", width=9, height=9))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://a.org/img/siteLogo.png", {"layout_letters": 1, "layout_words": 1, "png_or_jpeg": 1}),
        ("https://a.org/img/SITE_LOGO-2.PNG", {"layout_letters": 1, "layout_words": 1, "png_or_jpeg": 1}),
        ("https://a.org/icons/share-buttons.webp?v=2", {"layout_letters": 2, "layout_words": 1}),
        ("https://a.org/silicon-wafer.jpeg", {"layout_letters": 1, "png_or_jpeg": 1}),
        ("https://essex.gov.uk/pier.jpg", {"explicit_letters": 1, "png_or_jpeg": 1}),
        ("https://a.org/wp-content/plugins/x/photo.jpg", {"layout_letters": 1, "png_or_jpeg": 1}),
        ("https://a.org/dance.GIF#top", {"gif": 1}),
        ("https://a.org/my%20logo.jpg", {"layout_letters": 1, "layout_words": 1, "png_or_jpeg": 1}),
        ("https://a.org/photo", {}),
        ("data:image/gif;sha256,00", {"gif": 1}),
        ("", {}),
    ],
)
def test_names_by_hand(url, found):
    assert names(url) == found


def test_words_of_the_alt_text_count_apart():
    assert names("https://a.org/1", "A Widget on our icons, by Iconic") == {"alt_layout_words": 2}


def test_rules_of_the_paper_on_pictures_made_for_them():
    rules = {"side": Bounds(least=64), "aspect": Bounds(most=3), "colour_spread": Bounds(least=2)}
    check_rules("image", rules, IMAGE_MEASURES)

    def reason(image: Image.Image) -> str:
        refused = refusal(measure_frame(frame(image)), rules)
        return refused.reason if refused else ""

    assert reason(noise(64, 64)) == ""
    assert reason(noise(63, 100)) == "side_under"
    assert reason(noise(192, 64)) == ""
    assert reason(noise(64, 193)) == "aspect_over"
    assert reason(Image.new("RGB", (80, 80), "teal")) == "colour_spread_under"


def test_rules_that_cannot_hold_are_refused():
    with pytest.raises(ValueError, match=r"^image has the unknown rule 'blur'; known are alt_layout_words, aspect, "):
        check_rules("image", {"blur": Bounds(least=1)}, IMAGE_MEASURES)
    with pytest.raises(ValueError, match=r"^image.aspect.most is 0.5; it must be from 1 to inf$"):
        check_rules("image", {"aspect": Bounds(most=0.5)}, IMAGE_MEASURES)


def test_photographs_that_show_nothing_are_those_that_people_would_drop(material: Path):
    """Of VizWiz's 17, taken by people who cannot see, seven are a blur to the eye."""
    photographs = sorted((material / "vqa" / "vizwiz" / "images").iterdir())
    values = sorted(
        measure_frame(make_frame(path.read_bytes(), ImageConfig()).frame)["sharpness"] for path in photographs
    )
    assert len(values) == 17
    assert values[6] < 15
    assert values[7] > 30
