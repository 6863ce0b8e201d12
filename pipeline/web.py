"""Web pages into interleaved documents: text and images in the order of the DOM.

Pages come from a list of addresses (--urls), from a start page whose links are followed within its host (--start
and --follow), or from WARC archives (--warc), which give their images too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from jobs.command import run_command
from jobs.connect import resolve
from pipeline.addresses import canonical, parse_networks
from pipeline.crawl import documents_of_pages
from pipeline.fetch import FetchConfig
from pipeline.gather import Chunk, Output, cut, finish, open_output, run_chunks, without
from pipeline.images import ImageConfig
from pipeline.lists import read_addresses
from pipeline.summary import print_estimate, print_summary
from pipeline.warc import documents_of_archive, find_archives
from shards.chunk import Tally
from shards.document import Document
from shards.manifest import Commit


@dataclass(frozen=True, kw_only=True)
class WebConfig:
    """A run of `pipeline.web`."""

    output: str
    """Folder or address for the dataset."""
    urls: str = ""
    """File with addresses of pages: text with one a line, CSV, JSONL or Parquet with a column `url`."""
    start: str = ""
    """Address of the page to begin at."""
    follow: bool = False
    """Follow links within the host of --start, breadth first."""
    max_depth: int = 20
    """Links followed in a row from --start."""
    warc: str = ""
    """WARC or ARC archives: a path, with * for many."""
    limit: int | None = None
    """Most pages to ask for (with --warc: to take from each archive); then an estimate for the whole is printed."""
    allow_network: str = ""
    """Networks that are not public and may be reached all the same, separated by commas: 127.0.0.0/8."""
    min_words: int = 5
    """A page with fewer words is dropped."""
    chunk_pages: int = 100
    """Pages that are worked on, committed and, after a crash, done again together."""
    image: ImageConfig = field(default_factory=ImageConfig)
    fetch: FetchConfig = field(default_factory=FetchConfig)

    def __post_init__(self) -> None:
        given = [name for name in ("urls", "start", "warc") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"give exactly one of --urls, --start and --warc; given: {', '.join(given) or 'none'}")
        if self.start and canonical(self.start) is None:
            raise ValueError(f"start is {self.start!r}; it must be an http or https address without credentials")
        if self.follow and not self.start:
            raise ValueError("follow needs --start")
        for name in ("limit", "chunk_pages", "max_depth"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")
        parse_networks(self.allow_network)


def run(config: WebConfig) -> None:
    """Gathers the pages, writes the dataset, prints the summary."""
    archives = find_archives(resolve("warc", config.warc)) if config.warc else []
    addresses = _addresses(config)
    output = open_output(
        config.output, "pipeline.web", without(config, "output", "limit", "max_depth", "allow_network", "fetch")
    )
    if config.warc:
        commits = _run_archives(output, config, archives)
        total = sum(commit.counts.get("pages_in_archives", 0) for commit in commits)
    else:
        commits, total = _run_levels(output, config, addresses)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        print_estimate(output, manifest, manifest.counts.get("pages", 0), total, "pages", at_least=config.follow)


def _addresses(config: WebConfig) -> list[str]:
    if config.start:
        return [canonical(config.start) or config.start]
    return read_addresses(resolve("urls", config.urls)) if config.urls else []


def _run_archives(output: Output, config: WebConfig, archives: Sequence[str]) -> list[Commit]:
    chunks = cut([[path, config.limit] for path in archives], 1)
    return run_chunks(output, chunks, partial(_gather_archive, config))


def _run_levels(output: Output, config: WebConfig, addresses: Sequence[str]) -> tuple[list[Commit], int]:
    """Works through `addresses`, then level by level through the links found, each level in sorted order.

    Returns the commits, and how many pages are known of.
    """
    seen, commits, level = set(addresses), list[Commit](), list(addresses)
    for depth in range(config.max_depth + 1):
        room = len(level) if config.limit is None else max(0, config.limit - _asked(commits))
        chunks = cut(level[:room], config.chunk_pages, prefix=f"{depth:02d}-")
        if not chunks:
            break
        found = run_chunks(output, chunks, partial(_gather_pages, config))
        commits += found
        if not config.follow:
            break
        level = sorted({link for commit in found for link in commit.links} - seen)
        seen.update(level)
    return commits, len(seen)


def _asked(commits: Sequence[Commit]) -> int:
    return sum(commit.counts["pages"] for commit in commits)


def _gather_pages(config: WebConfig, chunk: Chunk, tally: Tally) -> Iterable[Document]:
    host = urlsplit(config.start).netloc.lower() if config.follow else ""
    return documents_of_pages(
        chunk.items,
        fetch=config.fetch,
        image=config.image,
        allow_network=config.allow_network,
        min_words=config.min_words,
        follow_host=host,
        tally=tally,
    )


def _gather_archive(config: WebConfig, chunk: Chunk, tally: Tally) -> Iterable[Document]:
    (path, limit), *_ = chunk.items
    return documents_of_archive(path, limit, image=config.image, min_words=config.min_words, tally=tally)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(WebConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
