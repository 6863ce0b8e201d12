"""How the records of a foreign set lie in its files: one value for each kind of set, from what the manifest says.

img2dataset   tars of a picture, a txt and a json (OpenFlamingo's LAION shards too)
energon       tars with a folder .nv-meta
mmc4          .jsonl of pages, pictures inside or in a folder
mmc4-tar      tars of such objects with their pictures, as OpenFlamingo makes them
obelics       .parquet of pages, pictures in a column or in a folder
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from shards.document import Document
from shards.errors import DatasetError
from shards.foreign import mmc4, obelics
from shards.foreign.pairs import IMG2DATASET, interleaved_of, pair_of
from shards.foreign.records import BadRecord
from shards.foreign.tars import Sample, read_sample, sample_places
from shards.location import Location, locate

Kind = Literal["img2dataset", "energon", "mmc4", "mmc4-tar", "obelics"]
Reader = Callable[[Location, int, int, Counter[str]], Document]
"""From a file, a place in it (two numbers), and what is dropped by reason, to a document. Raises BadRecord."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a set is read."""

    suffix: str
    """Of its files."""
    places: Callable[[Location], Iterator[tuple[int, int]]]
    """Where the records of a file are: offset and size in bytes, or whatever the reader takes. Raises DatasetError."""
    read: Reader


def open_layout(foreign: Mapping[str, Any]) -> Layout:
    """The layout that a manifest's `foreign` describes. Raises DatasetError for a kind that is not known."""
    folder, images = locate(foreign["folder"]), locate(foreign["images"]) if foreign["images"] else None
    match foreign["kind"]:
        case "img2dataset":
            return _of_samples(folder, partial(_pair, IMG2DATASET, frozenset[str]()))
        case "energon":
            decode = _pair if foreign["fields"] else _interleaved
            return _of_samples(folder, partial(decode, foreign["fields"], frozenset(foreign["excluded"])))
        case "mmc4-tar":
            return _of_samples(folder, partial(_object, images))
        case "mmc4":
            return Layout(suffix=".jsonl", places=mmc4.line_places, read=partial(_line, images))
        case "obelics":
            return Layout(suffix=".parquet", places=obelics.row_places, read=partial(_row, images))
        case kind:
            raise DatasetError(f"the set is of kind {kind!r}, which this program does not read; install a newer one")


def _of_samples(folder: Location, decode: Callable[[Sample, str, Counter[str]], Document]) -> Layout:
    """`decode` gets a sample, the path of its tar in the set (keys may not depend on where the set lies), and drops."""
    return Layout(suffix=".tar", places=sample_places, read=partial(_sample, folder, decode))


# What a layout calls stands here by name, so that a dataset can be handed to another process.


def _sample(
    folder: Location,
    decode: Callable[[Sample, str, Counter[str]], Document],
    file: Location,
    offset: int,
    size: int,
    drops: Counter[str],
) -> Document:
    return decode(read_sample(file, offset, size), file.path.removeprefix(f"{folder.path}/"), drops)


def _pair(fields: Mapping[str, str], excluded: Collection[str], sample: Sample, where: str, _drops: object) -> Document:
    _refuse_excluded(excluded, sample, where)
    return pair_of(sample, fields, where)


def _interleaved(_fields: object, excluded: Collection[str], sample: Sample, where: str, _drops: object) -> Document:
    _refuse_excluded(excluded, sample, where)
    return interleaved_of(sample, where)


def _refuse_excluded(excluded: Collection[str], sample: Sample, where: str) -> None:
    if f"{where}/{sample.name}" in excluded:
        raise BadRecord("excluded")


def _object(images: Location | None, sample: Sample, _where: str, drops: Counter[str]) -> Document:
    return mmc4.page_of(sample.parts.get("json", b""), images, drops)


def _line(images: Location | None, file: Location, offset: int, size: int, drops: Counter[str]) -> Document:
    return mmc4.page_of(file.read_range(offset, size), images, drops)


def _row(images: Location | None, file: Location, row: int, group: int, drops: Counter[str]) -> Document:
    return obelics.page_of(obelics.read_row(file, row, group), images, drops)


def read_strictly(layout: Layout, file: Location, offset: int, size: int) -> Document:
    """The record at that place, which has been read before. Raises DatasetError if it gives no document now."""
    try:
        return layout.read(file, offset, size, Counter())
    except BadRecord as bad:
        raise DatasetError(f"{file} at {offset} gives no document any more: {bad.reason}") from None
