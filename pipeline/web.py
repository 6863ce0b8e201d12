"""Web pages into interleaved documents: text and images in the order of the DOM.

Pages come from a list of addresses (--urls), from a start page whose links are followed (--start and --follow), from
a sitemap (--sitemap), from WARC archives (--warc) or a folder (--html_dir), which give their images too, or from
Common Crawl (--common_crawl and --index).
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from jobs.command import run_command
from jobs.connect import resolve
from pipeline.archives.writer import KEPT, Recorded, recording
from pipeline.chunks import Chunk, Work, name_chunks
from pipeline.crawl import CrawlRules, crawl_pages, on_a_loop
from pipeline.gather import Output, check_owner, finish, open_output, run_chunks, without
from pipeline.images import ImageConfig
from pipeline.ledger import Outcome
from pipeline.network import OpenNetwork, closed_network, network_when_needed
from pipeline.page_videos import PageVideoConfig
from pipeline.rules.bounds import Bounds
from pipeline.rules.text import TextResources
from pipeline.sources import Doors, Listing, SourceConfig, runs_of
from pipeline.summary import print_estimate, print_summary
from pipeline.text_rules import TextRules, open_resources
from shards.chunk import Tally
from shards.location import Location
from shards.manifest import Commit

JOB = "pipeline.web"
NOT_IN_DOCUMENTS = (
    "output", "limit", "max_depth", "allow_network", "chunk_seconds", "retry_failed", "write_warc", "fetch",
)  # fmt: skip
"""Settings that may change from run to run: the documents that stand do not depend on them."""


@dataclass(frozen=True, kw_only=True)
class WebConfig(TextRules, SourceConfig):
    """A run of `pipeline.web`."""

    output: str
    """Folder or address for the dataset."""
    document: dict[str, Bounds] = field(default_factory=lambda: {"words": Bounds(least=5)})
    """Bounds on measures of a page's text, by measure, in order; pages that break one are not asked for pictures."""
    images_per_page: int = 200
    """Of the pictures of a page, so many are asked for, in its order."""
    image: ImageConfig = field(default_factory=ImageConfig)
    videos: bool = False
    """Also fetch the videos that pages name as files, and keep them between their texts."""
    video: PageVideoConfig = field(default_factory=PageVideoConfig)

    def __post_init__(self) -> None:
        SourceConfig.__post_init__(self)
        TextRules.__post_init__(self)
        if self.images_per_page < 1:
            raise ValueError(f"images_per_page is {self.images_per_page}; it must be 1 or greater")

    def rules(self, resources: TextResources) -> CrawlRules:
        return CrawlRules(
            image=self.image,
            text=self,
            resources=resources,
            page_bytes=self.fetch.page_bytes,
            image_bytes=self.fetch.image_bytes,
            images_per_page=self.images_per_page,
            video=self.video if self.videos else None,
            follow=self.prefixes,
        )


def run(config: WebConfig) -> None:
    """Gathers the pages, writes the dataset, prints the summary."""
    if config.opt_out:  # tasks may run in another folder
        config = replace(config, opt_out=str(resolve("opt_out", config.opt_out)))
    folder, kept = resolve("output", config.output), without(config, *NOT_IN_DOCUMENTS)
    check_owner(folder, JOB, kept)
    resources = open_resources(config.text)
    listing = config.source.list_pages(config, folder)
    output = open_output(config.output, JOB, kept)
    with network_when_needed(config, output.location) as network:

        def work() -> Work:
            return partial(gather_chunk, config, resources, output.location, _door(config, network))

        commits, known = _run_levels(output, config, listing, work)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        print_estimate(output, manifest, manifest.counts.get("pages", 0), known, "pages", at_least=config.follow)


def _door(config: WebConfig, network: Callable[[], OpenNetwork]) -> OpenNetwork:
    return network() if config.source.asks_network(config) else closed_network


def _run_levels(
    output: Output, config: WebConfig, listing: Listing, prepare: Callable[[], Work]
) -> tuple[list[Commit], int]:
    """Works through `listing`, then level by level through the links found, each level in sorted order.

    Links that only a retry found come last, in levels of their own, so that the others stay as they were cut.
    Returns the commits, and how many pages are known of.
    """
    seen = {item for run in listing.runs for item in run} if config.follow else set[str]()
    commits = _follow(output, config, listing.runs, "", seen, prepare)
    late = sorted({link for commit in commits for link in commit.late_links} - seen)
    if late:
        seen.update(late)
        commits += _follow(output, config, _next_runs(config, late, commits), "late-", seen, prepare)
    return commits, max(listing.pages, len(seen))


def _follow(
    output: Output,
    config: WebConfig,
    runs: Sequence[Sequence[Any]],
    prefix: str,
    seen: set[str],
    prepare: Callable[[], Work],
) -> list[Commit]:
    """The commits of `runs` and of the levels below them; what they lead to is added to `seen`."""
    commits = list[Commit]()
    for depth in range(config.max_depth + 1):
        found = run_chunks(output, name_chunks(runs, f"{prefix}{depth:02d}-"), prepare, config.retry_failed)
        commits += found
        level = sorted({link for commit in found for link in commit.links} - seen)
        if not level:
            break
        seen.update(level)
        runs = _next_runs(config, level, commits)
    return commits


def _next_runs(config: WebConfig, level: Sequence[str], commits: Sequence[Commit]) -> list[Sequence[str]]:
    """The addresses of `level` in chunks, as many as `--limit` has room for."""
    asked = sum(commit.counts["pages"] for commit in commits)
    room = len(level) if config.limit is None else max(0, config.limit - asked)
    return runs_of(level[:room], config.chunk_pages)


def gather_chunk(
    config: WebConfig,
    resources: TextResources,
    output: Location,
    network: OpenNetwork,
    chunk: Chunk,
    tally: Tally,
) -> Iterator[Outcome]:
    """What comes of the pages of `chunk`, which is the work of one task."""
    opening = config.source.open_doors(config, output, chunk.items, network)
    with on_a_loop(opening) as (runner, doors), _kept(config, output, chunk, doors) as kept:
        tally.counts.update(doors.counts)
        tally.notes.extend(doors.notes)
        yield from crawl_pages(
            chunk.asked(kept.addresses),
            kept.pages,
            kept.images,
            runner=runner,
            rules=config.rules(resources),
            careful=chunk.careful,
        )


@contextmanager
def _kept(config: WebConfig, output: Location, chunk: Chunk, doors: Doors) -> Generator[Doors]:
    """Doors that, with `--write-warc`, write down what they give."""
    if not config.write_warc:
        yield doors
        return
    addresses = list(doors.addresses)
    with recording(output / KEPT / f"{chunk.id}.warc.gz", addresses, again=chunk.places is not None) as recorder:
        pages, images = (Recorded(door, recorder) for door in (doors.pages, doors.images))
        yield replace(doors, addresses=addresses, pages=pages, images=images)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(WebConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
