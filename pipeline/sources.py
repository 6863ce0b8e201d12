"""What pages there are, and the doors to get them and their pictures by: a list, a site, archives, ...

Each kind of input is a Source: on the driver it lists its pages as the items of chunks; in a chunk's task it says
which addresses they are and opens the doors. A new kind is a field of SourceConfig and a line of SOURCES.
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from jobs.connect import resolve
from pipeline.addresses import canonical
from pipeline.archives.chunking import Rows, cut_rows, find_archives, first_pages, list_archives, open_archive
from pipeline.archives.common_crawl import BASE, COLUMNS, index_common_crawl
from pipeline.archives.index_filter import parse_filter
from pipeline.archives.ranges import Access
from pipeline.door import Door, FirstOf
from pipeline.fetching.opt_out import WithoutOptedOut, read_opt_out
from pipeline.inputs.html_folder import HtmlFolder, list_folder
from pipeline.inputs.lists import read_addresses
from pipeline.inputs.sitemap import list_sitemap
from pipeline.network import NetworkConfig, OpenNetwork
from shards.location import Location, locate


@dataclass(frozen=True, kw_only=True)
class SourceConfig(NetworkConfig):
    """Where the pages of a run come from."""

    urls: str = ""
    """File with addresses of pages: text with one a line, CSV, JSONL or Parquet with a column `url`."""
    start: str = ""
    """Address of the page to begin at."""
    follow: bool = False
    """Follow links from --start, level by level: within its host, or to the prefixes of --within."""
    within: str = ""
    """What addresses that are followed begin with, separated by commas; empty for the host of --start."""
    max_depth: int = 20
    """Links followed in a row from --start."""
    warc: str = ""
    """WARC or ARC archives, gzip, zstd or plain: paths with * for many, or addresses, separated by commas."""
    common_crawl: str = ""
    """Name of a crawl of Common Crawl, such as CC-MAIN-2026-30."""
    index: str = ""
    """Which pages of --common_crawl, by columns of its index: "url_host_tld = 'is' and content_languages = 'isl'"."""
    common_crawl_base: str = BASE
    """Where Common Crawl lies: an address or a folder, with a slash at its end."""
    sitemap: str = ""
    """Address of a sitemap, or of an index of sitemaps, whose pages are asked for."""
    html_dir: str = ""
    """Folder of HTML files, with those below it, and of their pictures."""
    html_base: str = ""
    """Address of --html_dir; without it a page comes from where it says that it was published."""
    images: Literal["archive", "network", "both"] | None = None
    """Where the pictures of an archive or of a folder come from: by default from itself, for --common_crawl, which
    keeps none, from the network. With `both`, what it lacks comes from the network."""
    limit: int | None = None
    """Most pages to ask for (with --warc: to take from each archive); then an estimate for the whole is printed."""
    write_warc: bool = False
    """Keep what the doors gave as WARC files in OUTPUT/warc, from which --warc makes the same documents again."""
    chunk_pages: int = 100
    """Pages that are worked on, committed and, after a crash, done again together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in SOURCES if getattr(self, name)]
        if len(given) != 1:
            names = [f"--{name}" for name in SOURCES]
            listed = f"{', '.join(names[:-1])} and {names[-1]}"
            raise ValueError(f"give exactly one of {listed}; given: {', '.join(given) or 'none'}")
        if self.start and canonical(self.start) is None:
            raise ValueError(f"start is {self.start!r}; it must be an http or https address without credentials")
        if self.sitemap and canonical(self.sitemap) is None:
            raise ValueError(f"sitemap is {self.sitemap!r}; it must be an http or https address without credentials")
        if self.common_crawl and not re.fullmatch(r"[\w.-]+", self.common_crawl):
            raise ValueError(f"common_crawl is {self.common_crawl!r}; it must be a name such as CC-MAIN-2026-30")
        if not self.common_crawl_base.endswith("/"):
            raise ValueError(f"common_crawl_base is {self.common_crawl_base!r}; it must end in a slash")
        if self.index:
            parse_filter(self.index, COLUMNS)
        if self.html_base and (canonical(self.html_base) != self.html_base or not self.html_base.endswith("/")):
            raise ValueError(
                f"html_base is {self.html_base!r}; it must be an http or https address that ends in a slash"
            )
        for name, needed in (("follow", "start"), ("index", "common_crawl"), ("html_base", "html_dir")):
            if getattr(self, name) and not getattr(self, needed):
                raise ValueError(f"{name} needs --{needed}")
        for name in ("limit", "chunk_pages", "max_depth"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")

    @property
    def source(self) -> "Source":
        return next(source for name, source in SOURCES.items() if getattr(self, name))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What the addresses of links that are followed begin with; none if no link is."""
        if not self.follow:
            return ()
        host = urlsplit(canonical(self.start) or "").netloc
        given = [prefix.strip() for prefix in self.within.split(",") if prefix.strip()]
        return tuple(given) or (f"http://{host}/", f"https://{host}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The work that a source has."""

    runs: Sequence[Sequence[Any]]
    """The items of each chunk, as plain JSON values."""
    pages: int
    """How many pages are known of, also those that --limit leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The pages of one chunk, and how to get them and their pictures."""

    addresses: Iterable[str]
    pages: Door
    images: Door
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """What else is to be counted, such as the archive that the pages lie in."""
    notes: Sequence[str] = ()
    """What a person must know of the source, such as that it is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of input."""

    list_pages: Callable[[SourceConfig, Location], Listing]
    """On the driver, before the output is claimed; the location is the output's, for an index that is made once."""
    open_doors: Callable[[SourceConfig, Location, tuple[Any, ...], OpenNetwork], AbstractAsyncContextManager[Doors]]
    """In a task, for the items of its chunk, on the event loop that the doors live on."""
    asks_network: Callable[[SourceConfig], bool] = lambda config: True
    """Whether its doors may open the network; if not, no fetching actors are started."""


def runs_of(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`items` in runs of `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _list_addresses(config: SourceConfig, output: Location) -> Listing:
    if config.start:
        addresses = [canonical(config.start) or config.start]
    else:
        addresses = read_addresses(resolve("urls", config.urls))
    return Listing(runs=runs_of(addresses[: config.limit], config.chunk_pages), pages=len(addresses))


@asynccontextmanager
async def _open_network(
    config: SourceConfig, output: Location, items: tuple[Any, ...], network: OpenNetwork
) -> AsyncGenerator[Doors]:
    async with network() as door:
        yield Doors(addresses=items, pages=door, images=door)


def _list_sitemap(config: SourceConfig, output: Location) -> Listing:
    access = _access(config)
    pages = list_sitemap(config.sitemap, output, access, config.limit)
    return Listing(runs=runs_of(pages, config.chunk_pages), pages=len(pages))


def _list_archives(config: SourceConfig, output: Location) -> Listing:
    names = list_archives(find_archives(config.warc), output, _access(config))
    rows, pages = cut_rows(names, output, config.chunk_pages, config.limit)
    return Listing(runs=[[asdict(run)] for run in rows], pages=pages)


def _list_common_crawl(config: SourceConfig, output: Location) -> Listing:
    names = index_common_crawl(
        config.common_crawl, config.index, config.common_crawl_base, output, _access(config), config.limit
    )
    rows, pages = cut_rows(names, output, config.chunk_pages, None)
    return Listing(runs=[[asdict(run)] for run in first_pages(rows, config.limit)], pages=pages)


@asynccontextmanager
async def _open_archive(
    config: SourceConfig, output: Location, items: tuple[Any, ...], network: OpenNetwork
) -> AsyncGenerator[Doors]:
    async with open_archive(Rows(**items[0]), output, _access(config)) as archive:
        pages = _without_opted_out(config, archive.door)
        async with _open_images(config, pages, network) as images:
            yield Doors(
                addresses=archive.addresses, pages=pages, images=images, counts=archive.counts, notes=archive.notes
            )


def _list_folder(config: SourceConfig, output: Location) -> Listing:
    folder = resolve("html_dir", config.html_dir)
    pages = list_folder(folder)
    runs = runs_of(pages[: config.limit], config.chunk_pages)
    return Listing(runs=[[str(folder), *run] for run in runs], pages=len(pages))


@asynccontextmanager
async def _open_folder(
    config: SourceConfig, output: Location, items: tuple[Any, ...], network: OpenNetwork
) -> AsyncGenerator[Doors]:
    folder = HtmlFolder(locate(items[0]), config.html_base)
    pages = _without_opted_out(config, folder)
    async with _open_images(config, pages, network) as images:
        yield Doors(addresses=[folder.address(path) for path in items[1:]], pages=pages, images=images)


@asynccontextmanager
async def _open_images(config: SourceConfig, held: Door, network: OpenNetwork) -> AsyncGenerator[Door]:
    """The door to pictures: what is held, the network, or one after the other."""
    if not _asks_network(config):
        yield held
        return
    async with network() as door:
        yield FirstOf([held, door]) if config.images == "both" else door


def _without_opted_out(config: SourceConfig, door: Door) -> Door:
    if not config.opt_out:
        return door
    return WithoutOptedOut(door, read_opt_out(resolve("opt_out", config.opt_out)))


def _asks_network(config: SourceConfig) -> bool:
    return config.images in ("network", "both") or (config.images is None and bool(config.common_crawl))


def _access(config: SourceConfig) -> Access:
    return Access(fetch=config.fetch, allow_network=config.allow_network)


ADDRESSES = Source(list_pages=_list_addresses, open_doors=_open_network)
SOURCES = {
    "urls": ADDRESSES,
    "start": ADDRESSES,
    "sitemap": Source(list_pages=_list_sitemap, open_doors=_open_network),
    "warc": Source(list_pages=_list_archives, open_doors=_open_archive, asks_network=_asks_network),
    "common_crawl": Source(list_pages=_list_common_crawl, open_doors=_open_archive, asks_network=_asks_network),
    "html_dir": Source(list_pages=_list_folder, open_doors=_open_folder, asks_network=_asks_network),
}
"""The kinds of input by the field that names one."""
