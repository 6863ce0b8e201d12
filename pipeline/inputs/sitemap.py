"""The pages that a site lists: a sitemap, an index of sitemaps, as XML or text, compressed or not (sitemaps.org).

What comes from the site is bounded in number, size and depth, and its XML is read without entities or a DTD.
"""

import asyncio
import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lxml.etree

from jobs.command import InputError
from pipeline.addresses import canonical
from pipeline.archives.index import INDEX
from pipeline.archives.members import GZIP
from pipeline.archives.ranges import Access
from pipeline.door import Door, FetchError
from pipeline.fetch import fetcher_on_a_loop
from pipeline.fetching.bodies import BodyError, unpack
from shards.location import Location

MOST_BYTES = 50 * 2**20
"""Of one sitemap, decompressed (sitemaps.org: "must be no larger than 50MB")."""
MOST_SITEMAPS = 10_000
"""Sitemaps that are read of one site."""
MOST_DEPTH = 3
"""Indexes that lead to each other; the protocol has one above the sitemaps, some sites have two."""
MOST_PAGES = 10_000_000
"""Addresses that are taken of one site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitemap:
    """What one sitemap lists, canonical and in its order."""

    pages: Sequence[str]
    sitemaps: Sequence[str]


class SitemapError(ValueError):
    """A file is no sitemap; the message says why."""


def read_sitemap(data: bytes, url: str) -> Sitemap:
    """What the sitemap in `data`, found at `url`, lists. Raises SitemapError."""
    if data.startswith(GZIP):
        try:
            data = unpack([data], "gzip", MOST_BYTES)
        except BodyError as error:
            raise SitemapError(f"it cannot be decompressed: {error.reason}") from None
    if re.match(rb"(?:\xef\xbb\xbf)?\s*<|\xff\xfe|\xfe\xff", data):
        return _read_xml(data, url)
    lines = data.decode("utf-8-sig", "replace").splitlines()
    return Sitemap(pages=_canonical(lines, ""), sitemaps=())


def _read_xml(data: bytes, url: str) -> Sitemap:
    found: dict[str, list[str]] = {"url": [], "sitemap": []}
    # Many sitemaps have a bare & or two: what libxml2 can mend is read.
    elements = lxml.etree.iterparse(
        io.BytesIO(data), events=("end",), recover=True, resolve_entities=False, no_network=True, load_dtd=False
    )
    try:
        for number, (_, element) in enumerate(elements):
            if number == 0 and element.getroottree().docinfo.doctype:
                raise SitemapError("it has a document type, which no sitemap has and bombs are made of")
            above = _local(element.getparent())
            if _local(element) == "loc" and above in found:
                found[above].append((element.text or "").strip())
            elif _local(element) in found:
                _forget(element)
    except lxml.etree.XMLSyntaxError as error:
        raise SitemapError(f"it is no XML: {error}") from None
    return Sitemap(pages=_canonical(found["url"], url), sitemaps=_canonical(found["sitemap"], url))


def _local(element: Any) -> str:
    """The name of `element` without its namespace; nothing for a comment, or for no element."""
    name = None if element is None else element.tag
    return name.rpartition("}")[2].lower() if isinstance(name, str) else ""


def _forget(element: Any) -> None:
    """Frees `element` and those before it, so that a long sitemap does not lie in memory as a tree."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def _canonical(addresses: Sequence[str], base: str) -> tuple[str, ...]:
    known = (canonical(address, base) for address in addresses if address.strip())
    return tuple(dict.fromkeys(address for address in known if address))


def list_sitemap(url: str, output: Location, access: Access, limit: int | None) -> list[str]:
    """The pages that the sitemap at `url` lists, read once: a rerun finds them in the folder of `output`.

    Prints what a person must know of it. Raises InputError if it lists none.
    """
    kept = output / INDEX / f"sitemap-{hashlib.sha256(f'{url} {limit}'.encode()).hexdigest()[:16]}.txt"
    if kept.exists():
        return kept.read().decode().splitlines()
    notes = list[str]()
    with fetcher_on_a_loop(access.fetch, access.allow_network) as (runner, fetcher):
        pages = runner.run(list_site(url, fetcher, limit, notes.append))
    if not pages:
        raise InputError(f"sitemap {url} lists no page: {'; '.join(notes[:3]) or 'it is empty'}")
    for note in notes:
        print(f"note: {note}")
    kept.write("".join(f"{page}\n" for page in pages).encode())
    return pages


async def list_site(url: str, door: Door, limit: int | None, note: Callable[[str], None]) -> list[str]:
    """The pages that the sitemap at `url` lists, and those that it leads to, each once and in order.

    Calls `note` with a sentence for each sitemap that gives nothing. With a limit, no more sitemaps are read than are
    needed for so many pages.
    """
    most = min(MOST_PAGES, limit or MOST_PAGES)
    pages, seen, level, read = dict[str, None](), {url}, [url], 0
    for _ in range(MOST_DEPTH):
        below = list[str]()
        for start in range(0, len(level), 8):
            if len(pages) >= most or read >= MOST_SITEMAPS:
                break
            batch = level[start : start + 8]
            read += len(batch)
            for sitemap in await asyncio.gather(*(_fetch(address, door, note) for address in batch)):
                pages.update(dict.fromkeys(sitemap.pages))
                below += [address for address in sitemap.sitemaps if address not in seen]
                seen.update(sitemap.sitemaps)
        level = below
    if level and len(pages) < most:
        note(f"{len(level)} sitemaps below {url} were not read: they lie deeper than {MOST_DEPTH} levels")
    return list(pages)[:most]


async def _fetch(url: str, door: Door, note: Callable[[str], None]) -> Sitemap:
    try:
        answer = await door.fetch(url, MOST_BYTES)
        return await asyncio.to_thread(read_sitemap, answer.data, answer.url)
    except (FetchError, SitemapError) as error:
        note(f"the sitemap {url} gave nothing: {error}")
        return Sitemap(pages=(), sitemaps=())
