"""What a person may name as pairs: a list, a set that others gathered, a folder of either, a path with * in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from pyarrow import fs

from jobs.command import InputError
from pipeline.inputs.pair_lists import SUFFIXES, Columns, read_list
from pipeline.inputs.pair_sets import folders_of_pictures, picture_column, read_folder, read_pictures, read_tar
from pipeline.inputs.pair_table import Captions, Pair, Run, arrange_captions, write_pairs
from shards.location import Location, locate

Kind = Literal["list", "tar", "pictures", "folder"]
READERS: dict[Kind, Callable[[Location, Columns], Iterator[Pair]]] = {
    "list": read_list,
    "tar": read_tar,
    "pictures": read_pictures,
    "folder": read_folder,
}
STATISTICS = "_stats.json"
"""How the names of files end in which img2dataset counts what it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of an input, or one folder of pictures."""

    kind: Kind
    place: str

    @property
    def has_pictures(self) -> bool:
        return self.kind != "list"

    def read(self, columns: Columns) -> Iterator[Pair]:
        """Its pairs, in order. Raises InputError if it is not what its name says."""
        return READERS[self.kind](locate(self.place), columns)


def find_sources(place: Location) -> list[Source]:
    """The files that `place` names, in order. Raises InputError if there is none.

    In a folder with tar files, or with Parquet files that hold pictures, these are the set, and what lies beside them
    says nothing more; pictures that are files of their own come before lists.
    """
    if place.filesystem.get_file_info(place.path).type == fs.FileType.Directory:
        sources = _in_folder(place)
    else:
        folder = Location(filesystem=place.filesystem, path=place.path.rpartition("/")[0])
        names = [name for name in folder.files() if name == place.name or fnmatchcase(name, place.name)]
        sources = [_file(folder / name) for name in names]
    if not sources:
        raise InputError(
            f"input {place} cannot be read: it names no file; wanted are lists ({', '.join(SUFFIXES)}), .tar files, "
            "or folders of pictures"
        )
    return sources


def _in_folder(folder: Location) -> list[Source]:
    names = [name for name in folder.files() if not name.endswith(STATISTICS)]
    if tars := [name for name in names if name.endswith(".tar")]:
        return [_file(folder / name) for name in tars]
    lists = [_file(folder / name) for name in names if name.lower().endswith(SUFFIXES)]
    if pictures := [source for source in lists if source.kind == "pictures"]:
        return pictures
    folders = folders_of_pictures(folder)
    return [Source(kind="folder", place=str(found)) for found in folders] or lists


def _file(file: Location) -> Source:
    if file.name.endswith(".tar"):
        return Source(kind="tar", place=str(file))
    holds = file.name.endswith(".parquet") and picture_column(_schema(file))
    return Source(kind="pictures" if holds else "list", place=str(file))


def _schema(file: Location) -> pa.Schema:
    try:
        return pq.read_schema(file.path, filesystem=file.filesystem)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file} cannot be read as parquet: {error}") from None


def check_columns(source: Source, columns: Columns) -> None:
    """Reads the first pair of `source`. Raises InputError if it is a list without these columns, or unreadable."""
    next(source.read(columns), None)


def write_tables(
    sources: Sequence[Source], columns: Columns, captions: Captions, size: int, folder: Location
) -> list[Run]:
    """Writes the pairs of each of `sources` as a table in `folder`, a task of Ray each; returns the runs in order.

    Raises InputError if a source cannot be read.
    """
    write = ray.remote(_write_table).options(num_cpus=1)
    tasks = [write.remote(folder, place, source, columns, captions, size) for place, source in enumerate(sources)]
    written = list[Run]()
    for runs in ray.get(tasks):
        if isinstance(runs, str):
            raise InputError(runs)
        written += runs
    return written


def table_of(folder: Location, number: int) -> Location:
    return folder / f"{number:05d}.parquet"


def _write_table(
    folder: Location, number: int, source: Source, columns: Columns, captions: Captions, size: int
) -> list[Run] | str:
    """The runs of the table, or what is wrong with the source: Ray wraps what is raised in so much."""
    try:
        pairs = arrange_captions(source.read(columns), captions)
        return write_pairs(table_of(folder, number), number, pairs, size)
    except InputError as error:
        return str(error)
