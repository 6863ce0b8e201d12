"""Pages to documents: fetch, extract, fetch their pictures, decode, assemble; in order, whoever answers first.

Where pages and pictures come from is the doors' business: the network, an archive, a folder. Many pages are under
way at once on one event loop; their documents leave in the order in which the pages were named.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from pipeline.addresses import canonical
from pipeline.assemble import assemble, judge_text, refusal, wanted_images
from pipeline.careful import Crashed, careful_calls
from pipeline.door import Door, Fetched, FetchError
from pipeline.extract import extract
from pipeline.images import Decode, ImageConfig, NoPicture, Picture, decode_carefully, fetch_picture, make_frame_in_pool
from pipeline.ledger import Outcome, Record
from pipeline.page import ImageReference, Page
from pipeline.page_videos import FetchVideo, PageVideo, PageVideoConfig, video_fetcher, wanted_videos
from pipeline.rules.text import TextResources
from pipeline.text_rules import TextRules

WINDOW = 64
"""Pages under way at once; the next one begins when the first of them is written, so memory stays bounded."""
PICTURES = 256
"""Pictures under way at once, from the request to the decoded frame."""
HTML = ("text/html", "application/xhtml+xml")
Value = TypeVar("Value")
FetchImage = Callable[[ImageReference], Coroutine[Any, Any, Picture | NoPicture]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlRules:
    """What is kept of a page, whatever doors it comes through."""

    image: ImageConfig
    text: TextRules
    """Bounds on measures of a page's text, which is judged before its pictures are asked for."""
    resources: TextResources
    """What those measures are taken with."""
    page_bytes: int
    """Largest page, in bytes after decompression."""
    image_bytes: int
    """Largest image, in bytes."""
    images_per_page: int
    """Of the pictures of a page, so many are asked for, in its order."""
    video: PageVideoConfig | None = None
    """Which videos are asked for; None for none of them."""
    follow: tuple[str, ...] = ()
    """Links to addresses that begin with one of these are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What works on strangers' bytes in native code, which a crash may end: here, or in a process apart."""

    extract: Callable[[Fetched], Awaitable[Page]]
    decode: Decode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetchers:
    """What gets a page's media."""

    image: FetchImage
    video: FetchVideo | None
    """None if no video is asked for."""


def crawl_pages(
    addresses: Iterable[str],
    pages: Door,
    images: Door,
    *,
    runner: asyncio.Runner,
    rules: CrawlRules,
    careful: bool = False,
) -> Iterator[Outcome]:
    """What comes of the pages at `addresses`, in that order; the doors live on the loop of `runner`.

    With `careful`, a page or a picture that crashes what reads it is dropped as `crashed`.
    """
    with open_tools(careful) as tools:
        fetch = _fetchers(images, rules, tools)
        work = (_work_on_address(address, pages, fetch, rules, tools) for address in addresses)
        yield from in_order(runner, work, WINDOW)


def crawl_found_pages(
    found: Iterable[tuple[str, Page]],
    images: Door,
    *,
    runner: asyncio.Runner,
    rules: CrawlRules,
    careful: bool = False,
) -> Iterator[Outcome]:
    """What comes of pages that are extracted already, each with the address that names it, in that order."""
    with open_tools(careful) as tools:
        fetch = _fetchers(images, rules, tools)
        work = (_work_on_page(Record(address), page, fetch, rules) for address, page in found)
        yield from in_order(runner, work, WINDOW)


@contextmanager
def on_a_loop(opening: AbstractAsyncContextManager[Value]) -> Generator[tuple[asyncio.Runner, Value]]:
    """An event loop of its own with `opening` open on it, for work that is not asynchronous itself."""
    with asyncio.Runner() as runner:
        opened = runner.run(opening.__aenter__())
        try:
            yield runner, opened
        finally:
            runner.run(opening.__aexit__(None, None, None))


def in_order(runner: asyncio.Runner, work: Iterable[Coroutine[Any, Any, Value]], most: int) -> Iterator[Value]:
    """The results of `work` in its order, `most` of them under way at once."""
    # Not Runner.run, which minds Ctrl-C anew for each result, and takes a millisecond for it.
    loop, under_way = runner.get_loop(), deque[asyncio.Task[Value]]()
    for coroutine in work:
        under_way.append(loop.create_task(coroutine))
        if len(under_way) == most:
            yield loop.run_until_complete(under_way.popleft())
    while under_way:
        yield loop.run_until_complete(under_way.popleft())


@contextmanager
def open_tools(careful: bool) -> Generator[Tools]:
    """The tools of this process, or, if a task died over the same bytes, those of a process apart."""
    if not careful:
        yield Tools(extract=_extract, decode=make_frame_in_pool)
        return
    with careful_calls() as call:

        async def extract_carefully(answer: Fetched) -> Page:
            return await asyncio.to_thread(call, extract, answer.data, answer.url, answer.content_type)

        yield Tools(extract=extract_carefully, decode=decode_carefully(call))


async def _extract(answer: Fetched) -> Page:
    return extract(answer.data, answer.url, answer.content_type)


def _fetchers(media: Door, rules: CrawlRules, tools: Tools) -> _Fetchers:
    videos = video_fetcher(media, rules.video) if rules.video else None
    return _Fetchers(image=_each_once(media, rules, tools.decode), video=videos)


def _each_once(images: Door, rules: CrawlRules, decode: Decode) -> FetchImage:
    """A function that gets a picture; pages that are under way together and name the same one get it once."""
    under_way = WeakValueDictionary[tuple[str, ...], asyncio.Task[Picture | NoPicture]]()
    room = asyncio.Semaphore(PICTURES)

    async def fetch(addresses: tuple[str, ...]) -> Picture | NoPicture:
        async with room:
            return await fetch_picture(images, addresses, rules.image_bytes, rules.image, decode)

    async def fetch_image(reference: ImageReference) -> Picture | NoPicture:
        addresses = (reference.url, *reference.alternatives)
        task = under_way.get(addresses)
        if task is None:
            task = under_way[addresses] = asyncio.create_task(fetch(addresses))
        return await task

    return fetch_image


async def _work_on_address(address: str, pages: Door, fetch: _Fetchers, rules: CrawlRules, tools: Tools) -> Outcome:
    record = Record(address)
    try:
        answer = await pages.fetch(address, rules.page_bytes)
        if answer.content_type.partition(";")[0].strip().lower() not in HTML:
            raise FetchError("not_html")
        page = await tools.extract(answer)
    except (FetchError, Crashed) as error:
        record.drop("page", error.reason)
        return Outcome(record=record)
    return await _work_on_page(record, page, fetch, rules)


async def _work_on_page(record: Record, page: Page, fetch: _Fetchers, rules: CrawlRules) -> Outcome:
    links = frozenset(_links(page, rules.follow))
    if reason := refusal(page, videos=rules.video is not None):
        record.drop("page", reason)
        return Outcome(record=record, links=links)
    page, own = judge_text(page, record, rules.text, rules.resources)
    if own.reason:
        record.entries.append(own)
        return Outcome(record=record, links=links)
    references = wanted_images(page, rules.images_per_page)
    pictures, videos = await asyncio.gather(
        asyncio.gather(*map(fetch.image, references)), _fetch_videos(page, fetch.video, rules)
    )
    images = {reference.url: picture for reference, picture in zip(references, pictures, strict=True)}
    return Outcome(record=record, document=assemble(page, images, record, own.measures, videos), links=links)


async def _fetch_videos(page: Page, fetch: FetchVideo | None, rules: CrawlRules) -> dict[str, PageVideo]:
    """What came of the videos of `page`, by the address that it prefers."""
    if fetch is None or rules.video is None:
        return {}
    references = wanted_videos(page, rules.video.per_page)
    videos = await asyncio.gather(*map(fetch, references))
    return {reference.url: video for reference, video in zip(references, videos, strict=True)}


def _links(page: Page, prefixes: tuple[str, ...]) -> Iterator[str]:
    """The addresses that the page links to and that begin with one of `prefixes`."""
    if prefixes:
        addresses = (canonical(link, page.base) for link in page.links)
        yield from (address for address in addresses if address and f"{address}/".startswith(prefixes))
