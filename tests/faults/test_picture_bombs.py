"""Pictures that are broken, or made to exhaust who decodes them: each has its reason, and its page keeps the others."""

import io
import resource
import struct
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from PIL import Image

from pipeline.careful import careful_calls
from pipeline.crawl import CrawlRules, crawl_pages, on_a_loop
from pipeline.door import Fetched, FetchError
from pipeline.images import ImageConfig, ImageError, make_frame
from pipeline.ledger import Outcome
from pipeline.rules.bounds import Bounds
from pipeline.rules.text import default_resources
from pipeline.text_rules import TextRules

SIZES = ImageConfig(max_pixels=4_000_000, max_frames=5)
RULES = CrawlRules(
    image=SIZES,
    text=TextRules(document={"words": Bounds(least=3)}),
    resources=default_resources(),
    page_bytes=1_000_000,
    image_bytes=20_000_000,
    images_per_page=200,
)
MOST_GROWTH = 50_000_000
"""Bytes by which a process may grow over a picture that is refused."""


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def good() -> bytes:
    return encoded(Image.linear_gradient("L"), "PNG")


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG in grey with any header and any data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def many_pixels() -> bytes:
    return png(65_000, 65_000, zlib.compress(bytes(65_001 * 100)))


def header_that_lies() -> bytes:
    """A small picture by its header, with a gigabyte behind it."""
    packer = zlib.compressobj(9)
    return png(100, 100, b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(1000)), packer.flush()]))


def many_texts() -> bytes:
    """A compressed comment that unpacks to 100 MB (CVE-2014-9601)."""
    picture = good()
    body = b"Comment\0\0" + zlib.compress(bytes(100_000_000))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    return picture[:33] + chunk + picture[33:]


def many_frames() -> bytes:
    shades = [Image.new("L", (100, 100), shade) for shade in range(6)]
    return encoded(Image.linear_gradient("L").resize((100, 100)), "GIF", save_all=True, append_images=shades[1:] * 40)


def many_scans() -> bytes:
    jpeg = encoded(Image.linear_gradient("L").resize((1900, 1900)), "JPEG", progressive=True)
    return jpeg[:-2] + jpeg[jpeg.rindex(b"\xff\xda") : -2] * 5000 + jpeg[-2:]


def growing_gif() -> bytes:
    """A screen of one pixel, and a frame of 65,535 by 65,535 in it."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return screen + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\x00;"


def cut_short() -> bytes:
    return encoded(Image.effect_noise((400, 400), 60), "JPEG")[:-5000]


def overwritten() -> bytes:
    data = bytearray(encoded(Image.effect_noise((400, 400), 60), "PNG"))
    data[5000:6000] = bytes(1000)
    return bytes(data)


BAD = {
    "many_pixels": (many_pixels, "too_many_pixels"),
    "many_texts": (many_texts, "broken_image"),
    "many_frames": (many_frames, "too_many_frames"),
    "many_scans": (many_scans, "too_many_scans"),
    "growing_gif": (growing_gif, "too_many_pixels"),
    "cut_short": (cut_short, "broken_image"),
    "overwritten": (overwritten, "broken_image"),
    "a page": (lambda: b"<!doctype html><p>Sign in.</p>", "not_an_image"),
    "a drawing": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "format_unavailable"),
    "nothing": (lambda: b"", "not_an_image"),
}


class Shelf:
    """A door to what lies on it."""

    def __init__(self, held: dict[str, bytes]) -> None:
        self.held = held

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        if url not in self.held:
            raise FetchError("http_404")
        return Fetched(url=url, content_type="text/html", data=self.held[url])


@asynccontextmanager
async def opened(shelf: Shelf) -> AsyncGenerator[Shelf]:
    yield shelf


def crawl_page_with(bad: bytes) -> Outcome:
    """What comes of a page with three pictures, of which the second is bad."""
    site = "http://a.example/"
    page = b"<p>Three pictures stand here.</p><img src=1.png><img src=2.png><img src=3.png>"
    shelf = Shelf({site: page, f"{site}1.png": good(), f"{site}2.png": bad, f"{site}3.png": good()})
    with on_a_loop(opened(shelf)) as (runner, door):
        (outcome,) = crawl_pages([site], door, door, runner=runner, rules=RULES)
    return outcome


@pytest.mark.filterwarnings(r"ignore:::PIL\.")
@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_a_bad_picture_has_a_reason_and_its_neighbours_are_kept(make, reason):
    outcome = crawl_page_with(make())
    entries = [(entry.address[-5:], entry.reason) for entry in outcome.record.entries if entry.kind == "image"]
    assert entries == [("1.png", ""), ("2.png", reason), ("3.png", "")]
    assert outcome.document
    assert [media.url[-5:] for media in outcome.document.media] == ["1.png", "3.png"]


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("make", [many_pixels, many_texts, many_frames, many_scans, growing_gif, header_that_lies])
def test_a_bomb_takes_no_memory(make):
    bomb = make()
    with careful_calls() as call:
        call(make_frame, good(), SIZES)
        call(len, bomb)
        before = call(peak)
        with pytest.raises(ImageError):
            call(make_frame, bomb, SIZES)
        assert call(peak) - before < MOST_GROWTH


def growth_over(rounds: int, pictures: list[bytes]) -> int:
    """By how many bytes this process's peak rises when it refuses `pictures` over and over."""
    count_refusals(pictures)
    before = peak()
    assert sum(count_refusals(pictures) for _ in range(rounds)) == rounds * len(pictures)
    return peak() - before


def count_refusals(pictures: list[bytes]) -> int:
    refused = 0
    for data in pictures:
        try:
            make_frame(data, SIZES)
        except ImageError:
            refused += 1
    return refused


def test_bad_pictures_leave_nothing_behind_in_the_process():
    with careful_calls() as call:
        assert call(growth_over, 50, [make() for make, _ in BAD.values()]) < MOST_GROWTH / 5
