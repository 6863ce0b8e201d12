"""Sets of interleaved pages that others extracted into documents: OBELICS and MMC4, with their images fetched."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import ray
from pyarrow import fs

from jobs.command import InputError, run_command
from jobs.connect import resolve
from pipeline.chunks import Chunk, Work, name_chunks
from pipeline.crawl import CrawlRules, crawl_found_pages, on_a_loop
from pipeline.door import FirstOf
from pipeline.fetching.opt_out import NOBODY, OptOut, read_opt_out
from pipeline.gather import check_owner, finish, open_output, run_chunks, without
from pipeline.images import ImageConfig
from pipeline.inputs import mmc4, obelics
from pipeline.inputs.found import Found
from pipeline.inputs.mmc4 import HeldImages
from pipeline.ledger import Outcome, Record
from pipeline.network import NetworkConfig, OpenNetwork, closed_network, network_when_needed
from pipeline.page import Page
from pipeline.rules.bounds import Bounds
from pipeline.rules.text import TextResources
from pipeline.summary import print_estimate, print_summary
from pipeline.text_rules import TextRules, open_resources
from shards.chunk import Tally
from shards.errors import DatasetError
from shards.foreign.records import BadRecord
from shards.location import Location, locate

JOB = "pipeline.interleaved"
NOT_IN_DOCUMENTS = (
    "output", "input", "limit", "allow_network", "chunk_seconds", "retry_failed", "write_warc", "fetch",
)  # fmt: skip
"""Settings that may change from run to run: the documents that stand do not depend on them."""
Kind = Literal["obelics", "mmc4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How a set lies on disk, and what its records are."""

    suffixes: tuple[str, ...]
    count: Callable[[Location], tuple[int, str]]
    """How many records a file holds, and a note if it is cut. Raises DatasetError."""
    read: Callable[[Location, int, int], Iterator[Any]]
    """The records of a file from one number to another."""
    page: Callable[[Any, HeldImages], Found]
    """The page of a record; images that came with it are held. Raises BadRecord."""


FORMATS: dict[Kind, Format] = {
    "obelics": Format(
        suffixes=(".parquet",),
        count=lambda file: (obelics.count_rows(file), ""),
        read=obelics.read_rows,
        page=lambda row, _: obelics.page_of_row(row),
    ),
    "mmc4": Format(
        suffixes=(".jsonl", ".jsonl.gz", ".jsonl.zst", ".zip", ".tar"),
        count=mmc4.count_objects,
        read=mmc4.read_objects,
        page=mmc4.page_of_object,
    ),
}


@dataclass(frozen=True, kw_only=True)
class InterleavedConfig(TextRules, NetworkConfig):
    """A run of `pipeline.interleaved`."""

    input: str
    """File of the set, folder of such files, or a path with * in its last part."""
    kind: Kind
    """Which set it is."""
    output: str
    """Folder or address for the dataset."""
    images: Literal["archive", "network", "both"] = "both"
    """Where images come from: what came with the pages (MMC4's .tar files), the web, or one and then the other."""
    document: dict[str, Bounds] = field(default_factory=lambda: {"words": Bounds(least=5)})
    """Bounds on measures of a page's text, by measure, in order; pages that break one are not asked for pictures."""
    images_per_page: int = 200
    """Of the images of a page, so many are asked for, in its order."""
    limit: int | None = None
    """Most pages to read; then an estimate for the whole is printed."""
    chunk_pages: int = 200
    """Pages that are worked on, committed and, after a crash, done again together."""
    image: ImageConfig = field(default_factory=ImageConfig)

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        TextRules.__post_init__(self)
        for name in ("limit", "chunk_pages", "images_per_page"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")

    def rules(self, resources: TextResources) -> CrawlRules:
        return CrawlRules(
            image=self.image,
            text=self,
            resources=resources,
            page_bytes=self.fetch.page_bytes,
            image_bytes=self.fetch.image_bytes,
            images_per_page=self.images_per_page,
        )


def run(config: InterleavedConfig) -> None:
    """Gathers the images of the pages, writes the dataset, prints the summary."""
    files, kept = find_files(resolve("input", config.input), config.kind), without(config, *NOT_IN_DOCUMENTS)
    check_owner(resolve("output", config.output), JOB, kept)
    resources = open_resources(config.text)
    output = open_output(config.output, JOB, kept)
    counted = count_pages(files, config.kind)
    chunks = name_chunks(ranges(files, counted, config.chunk_pages, config.limit))
    with network_when_needed(config, output.location) as network:
        door = (lambda: closed_network) if config.images == "archive" else network
        opt_out = read_opt_out(resolve("opt_out", config.opt_out)) if config.opt_out else NOBODY

        def work() -> Work:
            return partial(_gather, config, resources, opt_out, door())

        commits = run_chunks(output, chunks, work, config.retry_failed)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        total = sum(pages for pages, _ in counted)
        print_estimate(output, manifest, manifest.counts.get("pages", 0), total, "pages")


def find_files(place: Location, kind: Kind) -> list[str]:
    """The files that `place` names, sorted. Raises InputError if there is none."""
    if place.filesystem.get_file_info(place.path).type == fs.FileType.Directory:
        folder, names = place, [name for name in place.files() if name.endswith(FORMATS[kind].suffixes)]
    else:
        folder = Location(filesystem=place.filesystem, path=place.path.rpartition("/")[0])
        names = [name for name in folder.files() if name == place.name or fnmatchcase(name, place.name)]
    if not names:
        raise InputError(f"input {place} names no file; files of {kind} end in {', '.join(FORMATS[kind].suffixes)}")
    return [str(folder / name) for name in names]


def count_pages(files: Sequence[str], kind: Kind) -> list[tuple[int, str]]:
    """How many records each of `files` holds, and a note if it is cut; counted by tasks of Ray, a file each.

    Raises InputError if a file is not of this kind.
    """
    count = ray.remote(_count).options(num_cpus=1)
    counted = ray.get([count.remote(file, kind) for file in files])
    for pages, note in counted:
        if pages < 0:
            raise InputError(note)
    return counted


def ranges(
    files: Sequence[str], counted: Sequence[tuple[int, str]], size: int, limit: int | None
) -> list[list[list[Any]]]:
    """A chunk's items for each run of `size` records: the file, where the run starts and stops, and the file's note."""
    runs, room = list[list[list[Any]]](), limit
    for file, (pages, note) in zip(files, counted, strict=True):
        taken = pages if room is None else min(room, pages)
        room = None if room is None else room - taken
        starts = range(0, taken, size)
        runs += [[[file, start, min(start + size, taken), note if start + size >= pages else ""]] for start in starts]
    return runs


def read_interleaved(
    file: Location, kind: Kind, start: int, stop: int, held: HeldImages
) -> Iterator[tuple[str, Page | str]]:
    """The pages of records `start` to `stop` of `file`, each with its address.

    A record that gives none has its place in the file for an address, and the reason for a page: `malformed`,
    `lengths_differ` or `bad_address`. Images that came with the pages go to `held`.
    """
    form = FORMATS[kind]
    for number, record in enumerate(form.read(file, start, stop), start):
        try:
            yield form.page(record, held)
        except BadRecord as error:
            yield f"{file}#{number}", error.reason


def _count(file: str, kind: Kind) -> tuple[int, str]:
    try:
        return FORMATS[kind].count(locate(file))
    except DatasetError as error:
        return -1, str(error)


def _gather(
    config: InterleavedConfig,
    resources: TextResources,
    opt_out: OptOut,
    network: OpenNetwork,
    chunk: Chunk,
    tally: Tally,
) -> Iterator[Outcome]:
    (file, start, stop, note), *_ = chunk.items
    tally.notes.extend(filter(None, [note]))
    held = HeldImages(opt_out)
    records = read_interleaved(locate(file), config.kind, start, stop, held)
    # The sets were made before this list was: their pages stand under it as well.
    willing = ((address, "opted_out" if opt_out.refuses(address) else page) for address, page in records)
    found = chunk.asked(willing)
    with on_a_loop(network()) as (runner, web):
        doors = {"archive": held, "network": web, "both": FirstOf([held, web])}
        crawl = partial(
            crawl_found_pages,
            images=doors[config.images],
            runner=runner,
            rules=config.rules(resources),
            careful=chunk.careful,
        )
        yield from _in_place(found, crawl)


def _in_place(
    found: Iterable[tuple[str, Page | str]], crawl: Callable[[Iterator[Found]], Iterator[Outcome]]
) -> Iterator[Outcome]:
    """What `crawl` makes of the pages in `found`, and between them, in their places, the records that gave none."""
    refused, pages = defaultdict[int, list[Outcome]](list), 0

    def good() -> Iterator[Found]:
        nonlocal pages
        for address, page in found:
            if isinstance(page, Page):
                pages += 1
                yield address, page
            else:
                record = Record(address)
                record.drop("page", page)
                refused[pages].append(Outcome(record=record))

    for number, outcome in enumerate(crawl(good())):
        yield from refused[number]
        yield outcome
    yield from refused[pages]


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(InterleavedConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
