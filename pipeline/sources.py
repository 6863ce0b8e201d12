"""What pages there are, and the doors to get them and their pictures by: a list, a site, archives, ...

Each kind of input is a Source: on the driver it lists its pages as the items of chunks; in a chunk's task it says
which addresses they are and opens the doors. A new kind is a field of SourceConfig and a line of SOURCES.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from jobs.connect import resolve
from pipeline.addresses import canonical
from pipeline.archives import Access, Rows, cut_rows, find_archives, list_archives, open_archive
from pipeline.door import Door, FirstOf
from pipeline.lists import read_addresses
from pipeline.network import NetworkConfig, OpenNetwork
from shards.location import Location


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
    images: Literal["archive", "network", "both"] = "archive"
    """Where the pictures of an archive's pages come from; with `both`, from the network what the archive lacks."""
    limit: int | None = None
    """Most pages to ask for (with --warc: to take from each archive); then an estimate for the whole is printed."""
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
        if self.follow and not self.start:
            raise ValueError("follow needs --start")
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


def _list_archives(config: SourceConfig, output: Location) -> Listing:
    names = list_archives(find_archives(config.warc), output, _access(config))
    return _list_rows(config, output, names)


def _list_rows(config: SourceConfig, output: Location, names: Sequence[str]) -> Listing:
    rows, pages = cut_rows(names, output, config.chunk_pages, config.limit)
    return Listing(runs=[[asdict(run)] for run in rows], pages=pages)


@asynccontextmanager
async def _open_archive(
    config: SourceConfig, output: Location, items: tuple[Any, ...], network: OpenNetwork
) -> AsyncGenerator[Doors]:
    async with AsyncExitStack() as opened:
        archive = await opened.enter_async_context(open_archive(Rows(**items[0]), output, _access(config)))
        images: list[Door] = [archive.door] if config.images != "network" else []
        if config.images != "archive":
            images.append(await opened.enter_async_context(network()))
        yield Doors(
            addresses=archive.addresses,
            pages=archive.door,
            images=FirstOf(images),
            counts=archive.counts,
            notes=archive.notes,
        )


def _access(config: SourceConfig) -> Access:
    return Access(fetch=config.fetch, allow_network=config.allow_network)


ADDRESSES = Source(list_pages=_list_addresses, open_doors=_open_network)
SOURCES = {
    "urls": ADDRESSES,
    "start": ADDRESSES,
    "warc": Source(list_pages=_list_archives, open_doors=_open_archive),
}
"""The kinds of input by the field that names one."""
