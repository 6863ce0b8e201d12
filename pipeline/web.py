"""Web pages into interleaved documents: text and images in the order of the DOM.

Pages come from a list of addresses (--urls), from a start page whose links are followed (--start and --follow), or
from WARC archives (--warc), which give their images too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from jobs.command import run_command
from jobs.connect import resolve
from pipeline.crawl import CrawlRules, documents_of_pages, on_a_loop
from pipeline.fetch import open_fetcher
from pipeline.gather import Chunk, Output, check_owner, finish, name_chunks, open_output, run_chunks, without
from pipeline.images import ImageConfig
from pipeline.sources import Listing, SourceConfig, runs_of
from pipeline.summary import print_estimate, print_summary
from pipeline.warc import documents_of_archive
from shards.chunk import Tally
from shards.document import Document
from shards.manifest import Commit

JOB = "pipeline.web"
NOT_IN_DOCUMENTS = ("output", "limit", "max_depth", "allow_network", "fetch")
"""Settings that may change from run to run: the documents that stand do not depend on them."""


@dataclass(frozen=True, kw_only=True)
class WebConfig(SourceConfig):
    """A run of `pipeline.web`."""

    output: str
    """Folder or address for the dataset."""
    min_words: int = 5
    """A page with fewer words is dropped."""
    images_per_page: int = 200
    """Of the pictures of a page, so many are asked for, in its order."""
    image: ImageConfig = field(default_factory=ImageConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images_per_page < 1:
            raise ValueError(f"images_per_page is {self.images_per_page}; it must be 1 or greater")

    @property
    def rules(self) -> CrawlRules:
        return CrawlRules(
            image=self.image,
            min_words=self.min_words,
            page_bytes=self.fetch.page_bytes,
            image_bytes=self.fetch.image_bytes,
            images_per_page=self.images_per_page,
            follow=self.prefixes,
        )


def run(config: WebConfig) -> None:
    """Gathers the pages, writes the dataset, prints the summary."""
    folder, kept = resolve("output", config.output), without(config, *NOT_IN_DOCUMENTS)
    check_owner(folder, JOB, kept)
    listing = config.source.list_pages(config, folder)
    output = open_output(config.output, JOB, kept)
    commits, known = _run_levels(output, config, listing)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        known = max(known, manifest.counts.get("pages_in_archives", 0))
        print_estimate(output, manifest, manifest.counts.get("pages", 0), known, "pages", at_least=config.follow)


def _run_levels(output: Output, config: WebConfig, listing: Listing) -> tuple[list[Commit], int]:
    """Works through `listing`, then level by level through the links found, each level in sorted order.

    Returns the commits, and how many pages are known of.
    """
    runs, known, commits = listing.runs, listing.pages, list[Commit]()
    seen = {item for run in runs for item in run} if config.follow else set[str]()
    for depth in range(config.max_depth + 1):
        chunks = name_chunks(runs, prefix=f"{depth:02d}-")
        found = run_chunks(output, chunks, partial(_gather, config)) if chunks else []
        commits += found
        level = sorted({link for commit in found for link in commit.links} - seen)
        if not level:
            break
        seen.update(level)
        known += len(level)
        room = len(level) if config.limit is None else max(0, config.limit - _asked(commits))
        runs = runs_of(level[:room], config.chunk_pages)
    return commits, known


def _asked(commits: Sequence[Commit]) -> int:
    return sum(commit.counts["pages"] for commit in commits)


def _gather(config: WebConfig, chunk: Chunk, tally: Tally) -> Iterator[Document]:
    if config.warc:
        (path, limit), *_ = chunk.items
        yield from documents_of_archive(path, limit, image=config.image, min_words=config.min_words, tally=tally)
        return
    network = partial(open_fetcher, config.fetch, config.allow_network)
    opening = config.source.open_doors(config, resolve("output", config.output), chunk.items, network)
    with on_a_loop(opening) as (runner, doors):
        yield from documents_of_pages(
            doors.addresses, doors.pages, doors.images, runner=runner, rules=config.rules, tally=tally
        )


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(WebConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
