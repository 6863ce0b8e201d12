"""The archives of a run: which there are, an index of each, their pages in chunks, and the door to them in a task.

    archives ─► one Ray task each: captures.py ─► index/*.parquet ─► rows of pages, chunk by chunk ─► archive.py

The indexes lie in the output's folder, so that a rerun finds them, and a task finds pictures in all archives.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from tempfile import NamedTemporaryFile
from typing import IO, cast

import ray
from ray.exceptions import RayTaskError

from jobs.command import InputError
from jobs.connect import connect, resolve
from pipeline.archives.archive import Archive
from pipeline.archives.captures import index_archive
from pipeline.archives.index import INDEX, IndexTable, count_rows, index_name, join_indexes, read_index, write_index
from pipeline.archives.members import compression_of, lay_out_plain
from pipeline.archives.ranges import Access, is_web, open_file, open_ranges
from shards.errors import DatasetError
from shards.location import Location, locate

TOGETHER = "together.parquet"
"""The index in which the pictures of all pages of a run are looked for; absent if it would be too long."""
MOST_TOGETHER = 200_000
"""Addresses of all archives of a run; if there are more, a page's pictures are looked for in its own archive alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Pages of one index, those of the rows from `start` to before `stop`: what a chunk works on."""

    index: str
    start: int
    stop: int
    repeated: Sequence[int] = ()
    """Rows among them that are left out, because another archive has the page, and better or before this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenArchive:
    """A chunk's pages, and the door to them and to their pictures."""

    addresses: Sequence[str]
    door: Archive
    counts: Mapping[str, int]
    """What is left out of the chunk, and, in the first one of an archive, what is to be said of all of it."""
    notes: Sequence[str]


def find_archives(patterns: str) -> list[str]:
    """The archives that `patterns`, parted by commas, name; `*`, `?` and `[...]` stand for parts of a file's name.

    On a web server, which does not list its files, a pattern is an address. Raises InputError for one that names none.
    """
    named = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    found = [archive for pattern in named for archive in ([pattern] if is_web(pattern) else _find(pattern))]
    return list(dict.fromkeys(found))


def _find(pattern: str) -> list[str]:
    location = resolve("warc", pattern)
    folder, _, name = location.path.rpartition("/")
    if location.exists():
        names = [name]
    else:
        files = Location(filesystem=location.filesystem, path=folder).files()
        names = [file for file in files if fnmatchcase(file, name)]
    if not names:
        raise InputError(f"warc {location} names no file")
    return [str(Location(filesystem=location.filesystem, path=f"{folder}/{name}")) for name in names]


def list_archives(archives: Sequence[str], output: Location, access: Access) -> list[str]:
    """The names of the indexes of `archives`; those that are not there yet are made, each by a task of Ray.

    Raises InputError if an archive cannot be read.
    """
    try:
        names = [index_name(archive, _size(archive, access)) for archive in archives]
    except DatasetError as error:
        raise InputError(str(error)) from None
    make_indexes({name: partial(_read, archive, access) for name, archive in zip(names, archives, strict=True)}, output)
    indexes = [output / INDEX / name for name in names]
    if len(names) > 1 and sum(count_rows(index)[1] for index in indexes) <= MOST_TOGETHER:
        join_indexes(output / INDEX / TOGETHER, indexes)
    return names


def _size(archive: str, access: Access) -> int:
    if not is_web(archive):
        return locate(archive).size()
    with open_file(archive, access) as file:
        return file.seek(0, 2)


def _read(archive: str, access: Access, location: Location) -> None:
    with open_file(archive, access) as file:
        write_index(location, index_archive(file, archive))


def make_indexes(makers: Mapping[str, Callable[[Location], None]], output: Location) -> None:
    """Makes those indexes that are not there yet, each in a task of Ray, by the maker under its name.

    Raises InputError for a file that cannot be read.
    """
    standing = set((output / INDEX).files())
    missing = {name: make for name, make in makers.items() if name not in standing}
    if not missing:
        return
    connect()
    task = ray.remote(_make_index).options(num_cpus=1, max_retries=3)
    try:
        ray.get([task.remote(make, output / INDEX / name) for name, make in missing.items()])
    except RayTaskError as error:
        if isinstance(error.cause, DatasetError):
            raise InputError(str(error.cause)) from None
        raise


def _make_index(make: Callable[[Location], None], location: Location) -> None:
    make(location)


def cut_rows(names: Sequence[str], output: Location, size: int, limit: int | None) -> tuple[list[Rows], int]:
    """The pages of the indexes `names`, at most `limit` of each, in runs of `size`; and how many there are in all.

    An index without pages has one run without any, so that what is said of its archive is said.
    """
    runs, pages = list[Rows](), 0
    repeated = _repeated(names, output)
    for name in names:
        number, _ = count_rows(output / INDEX / name)
        pages += number
        kept = number if limit is None else min(limit, number)
        for start in range(0, max(kept, 1), size):
            stop = min(start + size, kept)
            left_out = [row for row in repeated.get(name, ()) if start <= row < stop]
            runs.append(Rows(index=name, start=start, stop=stop, repeated=left_out))
    return runs, pages


def first_pages(runs: Sequence[Rows], most: int | None) -> list[Rows]:
    """The first of `runs`, so many that they have `most` pages, or all of them; the last may be shortened."""
    kept, room = list[Rows](), most
    for run in runs:
        if room is None:
            kept.append(run)
        elif room > 0:
            kept.append(replace(run, stop=min(run.stop, run.start + room)))
            room -= run.stop - run.start
    return kept


def _repeated(names: Sequence[str], output: Location) -> Mapping[str, list[int]]:
    """The rows of pages that another index has, and better or before; none if there are too many to compare."""
    sizes = [count_rows(output / INDEX / name) for name in names]
    if sum(rows for _, rows in sizes) > MOST_TOGETHER:
        return {}
    pages = [read_index(output / INDEX / name).entries(number) for name, (number, _) in zip(names, sizes, strict=True)]
    best = dict[str, tuple[bool, bool, int]]()
    for number, entries in enumerate(pages):
        for entry in entries:
            place = (*entry.rank, number)
            best[entry.url] = min(best.get(entry.url, place), place)
    return {
        name: [row for row, entry in enumerate(entries) if best[entry.url][2] != number]
        for number, (name, entries) in enumerate(zip(names, pages, strict=True))
    }


@asynccontextmanager
async def open_archive(rows: Rows, output: Location, access: Access) -> AsyncGenerator[OpenArchive]:
    """The pages in `rows` and the door to their archive, on the running event loop."""
    own, together = read_index(output / INDEX / rows.index), output / INDEX / TOGETHER
    async with open_ranges(access) as ranges:
        with NamedTemporaryFile() as copy:
            if own.one_piece:
                await asyncio.to_thread(_lay_out, own.one_piece, cast(IO[bytes], copy), access)
                ranges.replace(own.one_piece, copy.name)
            yield OpenArchive(
                addresses=_addresses(own, rows),
                door=Archive([own, read_index(together)] if together.exists() else [own], ranges),
                counts=_counts(own, rows),
                notes=own.notes if rows.start == 0 else (),
            )


def _addresses(index: IndexTable, rows: Rows) -> list[str]:
    repeated = set(rows.repeated)
    addresses = enumerate(index.addresses(rows.start, rows.stop), rows.start)
    return [address for row, address in addresses if row not in repeated]


def _counts(index: IndexTable, rows: Rows) -> Mapping[str, int]:
    repeated = {"archive_pages_repeated": len(rows.repeated)} if rows.repeated else {}
    return {**(index.counts if rows.start == 0 else {}), **repeated}


def _lay_out(archive: str, copy: IO[bytes], access: Access) -> None:
    with open_file(archive, access) as file:
        lay_out_plain(file, compression_of(file), copy, damages=[])
    copy.flush()
