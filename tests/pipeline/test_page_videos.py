"""Videos of web pages: where they stand, what is tried, what is refused, what is left alone."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline import page_videos
from pipeline.crawl import CrawlRules, crawl_pages
from pipeline.door import Fetched, FetchError
from pipeline.frames import SampledVideo
from pipeline.images import ImageConfig
from pipeline.ledger import Outcome
from pipeline.page import VideoReference
from pipeline.page_videos import UNDER_WAY, PageVideoConfig, video_fetcher
from pipeline.rules.bounds import Bounds
from pipeline.rules.text import default_resources
from pipeline.text_rules import TextRules
from shards.document import Text

PAGE = "http://x.org/"
TEXT = "<p>Words stand here, at least five of them, {}.</p>"
RULES = CrawlRules(
    image=ImageConfig(),
    text=TextRules(document={"words": Bounds(least=3)}),
    resources=default_resources(),
    page_bytes=10_000,
    image_bytes=1_000_000,
    images_per_page=3,
    video=PageVideoConfig(per_page=2, most_seconds=4, most_bytes=400_000),
)


@dataclass
class Shelf:
    """A door to what a test puts there."""

    bodies: Mapping[str, bytes]
    asked: list[str] = field(default_factory=list[str])
    under_way: int = 0
    most: int = 0

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        self.asked.append(url)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if url not in self.bodies:
            raise FetchError("http_404")
        if len(self.bodies[url]) > most_bytes:
            raise FetchError("too_large")
        return Fetched(url=url, content_type="text/html; charset=utf-8", data=self.bodies[url])


def crawled(html: str, rules: CrawlRules = RULES, **bodies: bytes) -> tuple[Outcome, Shelf]:
    shelf = Shelf({PAGE: html.encode(), **{f"{PAGE}{name}.webm": data for name, data in bodies.items()}})
    with asyncio.Runner() as runner:
        (outcome,) = crawl_pages([PAGE], shelf, shelf, runner=runner, rules=rules)
    return outcome, shelf


def layout(outcome: Outcome) -> list[str]:
    assert outcome.document
    blocks = outcome.document.blocks
    return ["text" if isinstance(b, Text) else f"{b.kind} {b.url.removeprefix(PAGE)} {len(b.frames)}" for b in blocks]


def entries(outcome: Outcome) -> list[tuple[str, str]]:
    return [(entry.kind, entry.reason) for entry in outcome.record.entries]


@pytest.fixture
def film(material: Path) -> bytes:
    return (material / "videos" / "rabbit320_task.webm").read_bytes()


def test_a_video_stands_between_its_texts_and_its_beginning_is_kept(film):
    html = TEXT.format("before") + "<video src=a.webm title='A rabbit'></video>" + TEXT.format("after")
    outcome, _ = crawled(html, a=film)
    assert layout(outcome) == ["text", "video a.webm 4", "text"]
    assert outcome.document
    assert outcome.document.media[0].title == "A rabbit"
    assert entries(outcome) == [("video", ""), ("page", "")]
    assert outcome.record.entries[0].measures["frames_left_out"] == 4


def test_the_next_source_is_tried(film):
    html = TEXT.format("1") + "<video><source src=gone.webm><source src=list.webm><source src=a.webm></video>"
    outcome, shelf = crawled(html + TEXT.format("2"), a=film, list=b"#EXTM3U\nfile:///etc/passwd")
    assert layout(outcome) == ["text", "video a.webm 4", "text"]
    assert shelf.asked == [PAGE, *(f"{PAGE}{name}.webm" for name in ("gone", "list", "a"))]


@pytest.mark.parametrize(
    ("body", "reason"),
    [(None, "http_404"), (b"#EXTM3U\nfile:///etc/passwd", "not_a_video"), (b"\x1aE\xdf\xa3" * 9, "damaged_container")],
)
def test_a_page_whose_only_video_is_none_is_dropped(body, reason):
    bodies = {} if body is None else {"a": body}
    outcome, _ = crawled(TEXT.format("1") + "<video src=a.webm></video>" + TEXT.format("2"), **bodies)
    assert outcome.document is None
    assert entries(outcome) == [("video", reason), ("page", "images_dropped")]


def test_a_large_video_is_not_taken(film):
    outcome, _ = crawled(TEXT.format("1") + "<video src=a.webm></video>" + TEXT.format("2"), a=film + bytes(100_000))
    assert entries(outcome)[0] == ("video", "too_large")


def test_some_of_a_page_are_asked_for_in_its_order(film):
    names = ["a", "b", "c"]
    html = "".join(TEXT.format(number) + f"<video src={name}.webm></video>" for number, name in enumerate(names))
    player = "<iframe src=https://www.youtube.com/embed/x></iframe>"
    outcome, shelf = crawled(html + player + TEXT.format("end"), a=film, b=film, c=film)
    assert layout(outcome) == ["text", "video a.webm 4", "text", "video b.webm 4", "text"]
    assert [entry for entry in entries(outcome) if entry[0] != "page"] == [
        ("video", ""),
        ("video", ""),
        ("video", "not_fetched"),
        ("player", "not_fetched"),
    ]
    assert shelf.asked == [PAGE, f"{PAGE}a.webm", f"{PAGE}b.webm"]


def test_without_the_option_no_video_is_asked_for(film):
    html = TEXT.format("1") + "<video src=a.webm></video>" + TEXT.format("2")
    outcome, shelf = crawled(html, replace(RULES, video=None), a=film)
    assert entries(outcome) == [("page", "no_images")]
    assert shelf.asked == [PAGE]


def test_few_are_under_way_and_one_is_decoded(monkeypatch):
    decoding, most = threading.Semaphore(1), list[bool]()

    def sample(*_: object) -> SampledVideo:
        most.append(decoding.acquire(blocking=False))
        time.sleep(0.01)
        decoding.release()
        return SampledVideo(frames=(), duration=1, truncated=False, omitted=0)

    monkeypatch.setattr(page_videos, "_sample", sample)
    references = [VideoReference(kind="video", url=f"{PAGE}{number}.webm") for number in range(12)]
    shelf = Shelf({reference.url: b"video" for reference in references})

    async def fetch_all() -> None:
        fetch = video_fetcher(shelf, PageVideoConfig())
        await asyncio.gather(*map(fetch, references))

    asyncio.run(fetch_all())
    assert most == [True] * 12
    assert 1 < shelf.most <= UNDER_WAY


@pytest.mark.parametrize("options", [{"per_page": 0}, {"most_seconds": 0.0}, {"most_bytes": -1}])
def test_what_is_out_of_range_is_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"video.{name} is .* it must be"):
        PageVideoConfig(**options)
