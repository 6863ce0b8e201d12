"""What becomes of the bytes of an image."""

import asyncio
import base64
import hashlib
import io
import random
import re
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import images, pixels
from pipeline.door import Fetched, FetchError
from pipeline.images import ImageConfig, ImageError, NoPicture, Picture, fetch_picture, make_frame
from pipeline.rules.bounds import Bounds
from pipeline.rules.image import aspect, colour_spread, shorter_side
from shards.document import Frame

# Outside of tests Pillow's warnings of strangers' files are ignored; pytest makes them errors again.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")
CONFIG = ImageConfig()
REASONS = {
    "not_an_image",
    "format_unavailable",
    "too_many_pixels",
    "too_many_frames",
    "too_many_scans",
    "broken_image",
    "side_under",
    "aspect_over",
    "colour_spread_under",
}
ODD = {
    "exif__Portrait_6.jpg": (512, 768),  # lies on its side, 1800 x 1200
    "pillow__avif__exif.avif": (512, 512),
    "pillow__flower.webp": (480, 360),
    "pillow__flower2.jpg": (300, 225),
    "pillow__hopper.gif": (128, 128),
    "pillow__hopper.ico": "format_unavailable",
    "pillow__hopper_gray.jpg": (128, 128),
    "pillow__decompression_bomb.gif": "too_many_pixels",
    "pillow__iss634.gif": (245, 245),  # 42 frames
    "pillow__jpeg_ff00_header.jpg": (300, 225),
    "pillow__l_trns.png": (64, 64),
    "pillow__negative_size.ppm": "not_an_image",
    "pillow__png_decompression_dos.png": "broken_image",
    "pillow__rgb_trns.png": (64, 64),
    "pillow__sugarshack.mpo": (640, 480),
    "pillow__tiff_strip_cmyk_jpeg.tif": (100, 100),
    "pillow__tiny.png": "side_under",
    "pillow__transparent.png": (200, 150),
    "pillow__transparent.webp": (200, 150),
    "pillow__ultrahdr.jpg": "broken_image",  # ends soon after its header
    "pillow__unknown_compression_method.png": "broken_image",
    "torchcodec__animated.gif": "side_under",
    "torchcodec__cmyk.jpg": (910, 512),
    "torchcodec__corrupt.jpg": "broken_image",
    "torchcodec__gradient_rotated.heic": "format_unavailable",
    "torchcodec__grayscale_alpha.png": (910, 512),
    "torchcodec__heapbof.png": "broken_image",
    "torchcodec__rgba.avif": (910, 512),
}
"""What some of the odd images are, as their sources and their headers tell."""


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
        frame_of(data, config)
    return caught.value.reason


def frame_of(data: bytes, config: ImageConfig = CONFIG) -> Frame:
    return make_frame(data, config).frame


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP", "TIFF"])
def test_formats_become_jpeg(format):
    frame = frame_of(encoded(picture(), format), CONFIG)
    assert (frame.format, frame.width, frame.height) == ("jpg", 100, 80)
    assert opened(frame.data).format == "JPEG"


def test_large_images_are_stored_at_the_bounded_side():
    frame = frame_of(encoded(picture(2048, 1024)), CONFIG)
    assert (frame.width, frame.height) == (1024, 512)
    assert opened(frame.data).size == (1024, 512)


def test_alpha_is_laid_on_white():
    image = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 50, 100))
    stored = opened(frame_of(encoded(image), CONFIG).data)
    assert min(stored.getpixel((90, 50))) > 250  # pyright: ignore
    red = stored.getpixel((10, 50))
    assert red[0] > 240  # pyright: ignore
    assert max(red[1:]) < 15  # pyright: ignore


def test_sixteen_bits_keep_their_picture():
    image = Image.new("I;16", (100, 100), 0)
    image.paste(65535, (0, 0, 50, 100))
    stored = opened(frame_of(encoded(image), CONFIG).data)
    assert stored.getpixel((10, 50)) >= (250, 250, 250)  # pyright: ignore
    assert stored.getpixel((90, 50)) <= (5, 5, 5)  # pyright: ignore


TOP_LEFT = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
"""Which corner of the stored pixels is seen at the top left (Exif 2.32, 4.6.4): column, row."""


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("orientation", "corner"), TOP_LEFT.items())
def test_each_exif_orientation_is_turned_upright(format, orientation, corner):
    image = Image.new("RGB", (160, 96), "white")
    image.paste("black", (corner[0] * 80, corner[1] * 48, corner[0] * 80 + 80, corner[1] * 48 + 48))
    exif = image.getexif()
    exif[0x0112] = orientation
    stored = opened(frame_of(encoded(image, format, exif=exif), CONFIG).data).convert("L")
    assert stored.size == ((96, 160) if orientation >= 5 else (160, 96))
    corners = [stored.getpixel((x, y)) for y in (20, stored.height - 20) for x in (20, stored.width - 20)]
    assert [isinstance(value, int) and value < 50 for value in corners] == [True, False, False, False]


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0no"])
def test_exif_that_cannot_be_read_turns_nothing(exif):
    assert frame_of(encoded(picture(100, 80), "JPEG", exif=exif), CONFIG).width == 100


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not_an_image"),
        (b"<!doctype html><p>no such page <svg></svg>", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "format_unavailable"),
        (b"\n<?xml version='1.0'?>\n<!-- drawn -->\n<svg>", "format_unavailable"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "format_unavailable"),
        (b"\0\0\0\x18ftypisom" + bytes(99), "not_an_image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "format_unavailable"),
        (b"\x89PNG\r\n\x1a\n", "broken_image"),
        (b"\xff\xd8\xff\xe0 and no more", "broken_image"),
        (encoded(picture(63, 200)), "side_under"),
        (encoded(picture(64, 193)), "aspect_over"),
        (encoded(Image.new("RGB", (100, 100), "teal")), "colour_spread_under"),
        (encoded(picture(500, 500))[:-300], "broken_image"),
    ],
)
def test_each_refusal_has_its_reason(data, expected):
    assert reason(data) == expected


def test_the_bounds_themselves_pass():
    assert frame_of(encoded(picture(64, 192)), CONFIG).width == 64


def test_a_bomb_is_refused_by_its_header():
    assert reason(encoded(picture(400, 300)), ImageConfig(max_pixels=119_999)) == "too_many_pixels"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_png_that_would_fill_the_memory_is_refused_before_a_pixel_is_read():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    start = time.monotonic()
    assert reason(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10_000_000)))) == "too_many_pixels"
    assert time.monotonic() - start < 5


def test_a_jpeg_that_would_be_read_for_hours_is_refused():
    data = encoded(picture(4000, 4000), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert data.count(b"\xff\xda") == 10
    assert frame_of(data, CONFIG).width == 512
    start = time.monotonic()
    assert reason(data[:-2] + last * 10_000 + data[-2:]) == "too_many_scans"
    assert time.monotonic() - start < 5
    assert reason(data, ImageConfig(max_scans=9)) == "too_many_scans"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_gives_its_first_frame_unless_it_is_too_long(format):
    first = Image.new("RGB", (96, 96), "red")
    first.paste("black", (0, 0, 48, 96))
    rest = [Image.new("RGB", (96, 96), (0, 0, shade)) for shade in (50, 100, 150)]
    data = encoded(first, format, save_all=True, append_images=rest)
    red = opened(frame_of(data, CONFIG).data).getpixel((80, 50))
    assert red[0] > 200  # pyright: ignore
    assert red[2] < 50  # pyright: ignore
    assert frame_of(data, ImageConfig(max_frames=4)).width == 96
    assert reason(data, ImageConfig(max_frames=3)) == "too_many_frames"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF"])
def test_a_file_that_lacks_its_end_is_counted_as_broken(format):
    data = encoded(Image.effect_noise((300, 200), 80).convert("RGB"), format)
    assert reason(data[: len(data) * 2 // 3]) == "broken_image"


@pytest.mark.parametrize(("format", "kept"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_originals_can_be_kept_as_they_came(format, kept):
    image = picture(900, 700)
    exif = image.getexif()
    exif[0x0112] = 6
    data = encoded(image, format, exif=exif)
    frame = frame_of(data, ImageConfig(keep_original=True))
    assert (frame.data, frame.format) == (data, kept)
    assert (frame.width, frame.height) == (700, 900)


def test_originals_are_judged_and_other_formats_are_encoded_as_ever():
    keep = ImageConfig(keep_original=True)
    assert reason(encoded(picture(500, 500), "JPEG")[:-300], keep) == "broken_image"
    assert reason(encoded(Image.new("RGB", (100, 100), "teal")), keep) == "colour_spread_under"
    data = encoded(picture(900, 700), "BMP")
    assert frame_of(data, keep) == frame_of(data, CONFIG)


def test_memory_that_runs_out_is_no_property_of_the_image(monkeypatch):
    def run_out(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "shown_pixels", run_out)
    with pytest.raises(MemoryError):
        frame_of(encoded(picture()), CONFIG)


class Shelf:
    """A door to the images that it was given."""

    def __init__(self, held: dict[str, bytes]) -> None:
        self.held = held
        self.asked: list[str] = []

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        self.asked.append(url)
        if url not in self.held:
            raise FetchError("http_404")
        return Fetched(url=url, content_type="", data=self.held[url])


def fetched(shelf: Shelf, *addresses: str) -> Picture | str:
    found = asyncio.run(fetch_picture(shelf, addresses, 1_000_000, CONFIG))
    return found if isinstance(found, Picture) else found.reason


def test_alternatives_are_tried_in_order_and_the_first_reason_is_kept():
    shelf = Shelf({"b": b"text", "c": encoded(picture())})
    found = fetched(shelf, "a", "b", "c", "d")
    assert isinstance(found, Picture)
    assert (found.url, found.frame.width) == ("c", 100)
    assert shelf.asked == ["a", "b", "c"]
    assert fetched(shelf, "b", "a") == "not_an_image"
    assert fetched(shelf, "a", "b", "x", "c") == "http_404"


def test_a_picture_in_the_page_is_named_by_its_hash():
    data = encoded(picture())
    found = fetched(Shelf({}), "data:image/png;base64," + base64.b64encode(data).decode())
    assert isinstance(found, Picture)
    assert found.url == f"data:image/png;sha256,{hashlib.sha256(data).hexdigest()}"
    assert fetched(Shelf({}), "data:text/plain,words") == "not_an_image"


def test_pictures_are_decoded_on_no_more_threads_than_there_are_cores(monkeypatch):
    seen, busy, most, lock = set[str](), 0, 0, threading.Lock()

    def watch(data: bytes, config: ImageConfig) -> object:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            seen.add(threading.current_thread().name)
        time.sleep(0.01)
        with lock:
            busy -= 1
        return make_frame(data, config)

    async def fetch_many() -> list[Picture | NoPicture]:
        return await asyncio.gather(*(fetch_picture(shelf, ["a"], 1_000_000, CONFIG) for _ in range(40)))

    shelf = Shelf({"a": encoded(picture())})
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(images, "make_frame", watch)
    images._decoders.cache_clear()
    try:
        assert all(isinstance(found, Picture) for found in asyncio.run(fetch_many()))
    finally:
        images._decoders().shutdown()
        images._decoders.cache_clear()
    assert most == len(seen) == 3
    assert all(re.fullmatch(r"decoder_[0-2]", name) for name in seen)


def test_measures_have_the_values_computed_by_hand():
    assert shorter_side(30, 20) == 20
    assert aspect(30, 20) == aspect(20, 30) == 1.5
    half = Image.new("RGB", (32, 32), "black")
    half.paste("white", (0, 0, 16, 32))
    assert colour_spread(np.asarray(half)) == pytest.approx(127.5)
    assert colour_spread(np.asarray(Image.new("RGB", (9, 9), "red"))) == 0


def outcome(data: bytes, config: ImageConfig = CONFIG) -> tuple[int, int] | str:
    try:
        frame = frame_of(data, config)
    except ImageError as error:
        return error.reason
    stored = opened(frame.data)
    assert (stored.mode, stored.size) == ("RGB", (frame.width, frame.height))
    return stored.size


def test_odd_real_images_give_a_frame_or_a_reason(material: Path):
    outcomes = {path.name: outcome(path.read_bytes()) for path in (material / "images-captions" / "odd").iterdir()}
    assert {name: outcomes[name] for name in ODD} == ODD
    assert {reason for reason in outcomes.values() if isinstance(reason, str)} <= REASONS


def test_the_fast_way_keeps_and_refuses_the_jpegs_that_pillow_does(material: Path, monkeypatch: pytest.MonkeyPatch):
    files = sorted((material / "images-captions" / "coco-by").rglob("*.jpg"))[:6]
    chance = random.Random(5)
    broken = 0
    for _ in range(120):
        data = bytearray(chance.choice(files).read_bytes())
        place = chance.randrange(len(data))
        length = chance.randrange(1, 3000)
        data[place : place + length] = chance.choice([b"", chance.randbytes(length), chance.randbytes(20)])
        verdict = outcome(bytes(data))
        with monkeypatch.context() as patch:
            patch.setattr(pixels, "_decode_jpeg", lambda *_: None)
            assert outcome(bytes(data)) == verdict
        broken += isinstance(verdict, str)
    assert 10 < broken < 110


def test_mutated_images_give_a_frame_or_a_reason(material: Path):
    originals = [path.read_bytes() for path in sorted((material / "images-captions" / "odd").iterdir())]
    originals = [data for data in originals if len(data) < 300_000]
    choice, reasons = random.Random(20261121), set[str]()
    for _ in range(300):
        data = bytearray(choice.choice(originals))
        for _ in range(choice.randrange(1, 20)):
            if data:
                data[choice.randrange(len(data))] = choice.randrange(256)
        found = outcome(bytes(data), ImageConfig(max_pixels=4_000_000))
        if isinstance(found, str):
            reasons.add(found)
    assert {"broken_image"} <= reasons <= REASONS


@pytest.mark.parametrize(
    ("field", "value"),
    [("store_side", 0), ("max_frames", 0), ("max_pixels", 200_000_000), ("quality", 96)],
)
def test_a_config_that_cannot_work_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"image\.{field} is {value}"):
        ImageConfig(**{field: value})


def test_rules_are_about_measures_that_are_taken():
    with pytest.raises(ValueError, match=r"image\.rules\.aspect\.most is 0\.5; it must be from 1"):
        ImageConfig(rules={"aspect": Bounds(most=0.5)})
    with pytest.raises(ValueError, match=r"image\.rules has the unknown rule 'sharpness'"):
        ImageConfig(rules={"sharpness": Bounds(least=30)})


def test_measures_of_the_file_are_kept_and_what_is_out_of_bounds_is_told():
    flat = Image.new("RGB", (1024, 2048), "black")
    flat.paste("white", (0, 0, 1024, 1024))
    found = asyncio.run(fetch_picture(Shelf({"a": encoded(flat)}), ["a"], 1_000_000, CONFIG))
    assert isinstance(found, Picture)
    assert found.measures == {"side": 1024, "aspect": 2, "frames": 1, "colour_spread": pytest.approx(127.5, abs=0.5)}
    for bounds, said in (
        ({"aspect": Bounds(most=1.5)}, NoPicture(reason="aspect_over", measure=2, threshold=1.5)),
        ({"frames": Bounds(most=1)}, NoPicture(reason="frames_over", measure=2, threshold=1)),
    ):
        moving = encoded(flat, "GIF", save_all=True, append_images=[flat.rotate(180)])
        shelf, config = Shelf({"a": moving}), ImageConfig(rules=bounds)
        assert asyncio.run(fetch_picture(shelf, ["a"], 1_000_000, config)) == said
