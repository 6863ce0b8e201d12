"""One chunk of pages: fetch them, extract, fetch their pictures, decode, assemble; in order, whoever answers first."""

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from pipeline.addresses import canonical
from pipeline.assemble import assemble, wanted_images
from pipeline.door import FetchError
from pipeline.extract import extract
from pipeline.fetch import FetchConfig, Fetcher, fetcher_on_a_loop
from pipeline.images import ImageConfig, Picture, fetch_picture
from pipeline.page import ImageReference, Page
from shards.chunk import Tally
from shards.document import Document

WINDOW = 32
"""Pages under way at once; the next ones begin when these are written, so memory stays bounded."""
HTML = ("text/html", "application/xhtml+xml")


def documents_of_pages(
    addresses: Sequence[str],
    *,
    fetch: FetchConfig,
    image: ImageConfig,
    allow_network: str,
    min_words: int,
    follow_host: str,
    tally: Tally,
) -> Iterator[Document]:
    """The documents of the pages at `addresses`, in that order.

    Links to `follow_host`, if one is given, are left in `tally`, those of pages that are dropped too.
    """
    with fetcher_on_a_loop(fetch, allow_network) as (runner, fetcher):
        for start in range(0, len(addresses), WINDOW):
            pages = runner.run(_fetch_pages(fetcher, addresses[start : start + WINDOW], fetch.page_bytes, tally))
            if follow_host:
                tally.links.update(itertools.chain.from_iterable(_links(page, follow_host) for page in pages.values()))
            yield from runner.run(_documents(fetcher, pages, fetch.image_bytes, image, min_words, tally))


def _links(page: Page, host: str) -> Iterator[str]:
    """The addresses on `host` that the page links to."""
    addresses = (canonical(link, page.base) for link in page.links)
    return (address for address in addresses if address and urlsplit(address).netloc == host)


async def _fetch_pages(fetcher: Fetcher, addresses: Sequence[str], most_bytes: int, tally: Tally) -> dict[str, Page]:
    """The pages that came, by the address that was asked for."""
    found = await asyncio.gather(*(_fetch_page(fetcher, address, most_bytes) for address in addresses))
    tally.count("pages", len(found))
    for reason in (page for page in found if isinstance(page, str)):
        tally.drop(f"page_{reason}")
    return {address: page for address, page in zip(addresses, found, strict=True) if isinstance(page, Page)}


async def _fetch_page(fetcher: Fetcher, address: str, most_bytes: int) -> Page | str:
    """The page at `address`, or the reason why there is none."""
    try:
        answer = await fetcher.fetch(address, most_bytes)
    except FetchError as error:
        return error.reason
    if answer.content_type.partition(";")[0].strip().lower() not in HTML:
        return "not_html"
    return extract(answer.data, answer.url, answer.content_type)


async def _documents(
    fetcher: Fetcher, pages: Mapping[str, Page], most_bytes: int, image: ImageConfig, min_words: int, tally: Tally
) -> list[Document]:
    wanted = {address: wanted_images(page, min_words, tally) for address, page in pages.items()}
    images = await _fetch_pictures(fetcher, itertools.chain.from_iterable(wanted.values()), most_bytes, image)
    kept = [address for address in pages if wanted[address]]
    return [document for address in kept if (document := assemble(address, pages[address], images, tally))]


async def _fetch_pictures(
    fetcher: Fetcher, references: Iterable[ImageReference], most_bytes: int, image: ImageConfig
) -> dict[str, Picture | str]:
    """What came of each picture, by the address that its page prefers; each is fetched once."""
    addresses = {reference.url: (reference.url, *reference.alternatives) for reference in references}
    pictures = await asyncio.gather(*(fetch_picture(fetcher, urls, most_bytes, image) for urls in addresses.values()))
    return dict(zip(addresses, pictures, strict=True))
