"""Pages to outcomes through doors that a test holds: the order, what is shared, what is refused, what is bounded."""

import asyncio
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from pipeline.crawl import WINDOW, CrawlRules, crawl_found_pages, crawl_pages, in_order
from pipeline.door import Fetched, FetchError
from pipeline.extract import extract
from pipeline.images import ImageConfig
from pipeline.ledger import Outcome
from pipeline.rules.bounds import Bounds
from pipeline.rules.text import default_resources
from pipeline.text_rules import TextRules

RULES = CrawlRules(
    image=ImageConfig(),
    text=TextRules(document={"words": Bounds(least=3)}),
    resources=default_resources(),
    page_bytes=10_000,
    image_bytes=1_000_000,
    images_per_page=3,
)


def png() -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (70, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Shelf:
    """A door to what a test puts there; the later an address is on the shelf, the sooner it answers."""

    bodies: Mapping[str, tuple[str, bytes]]
    slow: Mapping[str, float] = field(default_factory=dict[str, float])
    """Further seconds that an address takes."""
    asked: Counter[str] = field(default_factory=Counter[str])
    under_way: int = 0
    most: int = 0

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        self.asked[url] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        place = len(self.bodies) - list(self.bodies).index(url) if url in self.bodies else 0
        await asyncio.sleep(0.001 * place + self.slow.get(url, 0.0))
        self.under_way -= 1
        if url not in self.bodies:
            raise FetchError("http_404")
        content_type, data = self.bodies[url]
        return Fetched(url=url, content_type=content_type, data=data)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def html(text: str) -> tuple[str, bytes]:
    return "text/html; charset=utf-8", f"<p>{text}</p>".encode()


def reasons(outcome: Outcome) -> list[tuple[str, str]]:
    return [(entry.kind, entry.reason) for entry in outcome.record.entries]


def test_outcomes_come_in_order_and_a_picture_is_got_once(runner):
    names = [f"http://x.org/{n}" for n in range(10)]
    shelf = Shelf({name: html(f"Three words here.<img src=p.png><img src={n}.png>") for n, name in enumerate(names)})
    shelf.bodies = {**shelf.bodies, "http://x.org/p.png": ("image/png", png())}
    shelf.slow = {"http://x.org/p.png": 2.0}  # under way until the last page asks for it too
    outcomes = list(crawl_pages(names, shelf, shelf, runner=runner, rules=RULES))
    assert [outcome.record.page for outcome in outcomes] == names
    assert all(outcome.document and len(outcome.document.media) == 1 for outcome in outcomes)
    assert reasons(outcomes[3]) == [("image", ""), ("image", "http_404"), ("page", "")]
    assert shelf.asked["http://x.org/p.png"] == 1


def test_what_a_page_refuses_is_not_asked_for(runner):
    bodies = {
        "http://x.org/meta": html("Three words here.<meta name=robots content=noai><img src=p.png>"),
        "http://x.org/short": html("Two words.<img src=p.png>"),
        "http://x.org/bare": html("Three words here."),
        "http://x.org/text": ("text/plain", b"Three words here."),
        "http://x.org/many": html("Three words here." + "".join(f"<img src={n}.png>" for n in range(5))),
    }
    shelf = Shelf(bodies)
    outcomes = list(crawl_pages([*bodies, "http://x.org/gone"], shelf, shelf, runner=runner, rules=RULES))
    last = {outcome.record.page.rpartition("/")[2]: reasons(outcome)[-1][1] for outcome in outcomes}
    assert last == {
        "meta": "meta_noai",
        "short": "words_under",
        "bare": "no_images",
        "text": "not_html",
        "many": "images_dropped",
        "gone": "http_404",
    }
    assert sorted(set(shelf.asked) - set(bodies)) == [
        f"http://x.org/{name}" for name in ("0.png", "1.png", "2.png", "gone")
    ]
    assert reasons(outcomes[4])[3:5] == [("image", "over_images_per_page")] * 2


def test_links_are_kept_by_prefix_also_of_pages_that_are_dropped(runner):
    links = "<a href=/blog/b>b</a><a href=http://y.org/>y</a><a href='/blog#top'>t</a><a href=/other>o</a>"
    shelf = Shelf({"http://x.org/blog/a": html(f"Short.{links}")})
    rules = replace(RULES, follow=("http://x.org/blog/",))
    (outcome,) = crawl_pages(shelf.bodies, shelf, shelf, runner=runner, rules=rules)
    assert outcome.document is None
    assert outcome.links == {"http://x.org/blog/b", "http://x.org/blog"}


def test_pages_that_were_found_elsewhere_need_no_door_to_pages(runner):
    shelf = Shelf({"http://x.org/p.png": ("image/png", png())})
    page = extract(b"<p>Three words here.</p><img src=p.png>", "http://x.org/a")
    (outcome,) = crawl_found_pages([("http://x.org/a", page)], shelf, runner=runner, rules=RULES)
    assert outcome.document is not None
    assert outcome.document.source == "http://x.org/a"


def test_so_many_are_under_way_and_no_more(runner):
    names = [f"http://x.org/{n}" for n in range(3 * WINDOW)]
    shelf = Shelf(dict.fromkeys(names, html("Three words here.")))
    assert len(list(crawl_pages(names, shelf, shelf, runner=runner, rules=RULES))) == len(names)
    assert WINDOW // 2 < shelf.most <= WINDOW


def test_a_bug_in_a_door_is_not_swallowed(runner):
    class Broken:
        async def fetch(self, url: str, most_bytes: int) -> Fetched:
            raise KeyError(url)

    with pytest.raises(KeyError):
        list(crawl_pages(["http://x.org/"], Broken(), Broken(), runner=runner, rules=RULES))


def test_results_come_in_the_order_of_the_work(runner):
    async def after(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    waits = [0.05, 0.0, 0.02, 0.0, 0.01]
    assert list(in_order(runner, map(after, waits), 3)) == waits
