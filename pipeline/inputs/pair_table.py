"""What every input of pairs becomes: a table of pairs, cut into the runs that chunks work through.

lists, sets ─► Pair, one after the other ─► several captions: apart or together ─► a row group for each chunk
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from shards.location import Location

Captions = Literal["apart", "together"]
"""Several captions of one picture: a document each, or one with all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Where the bytes of a picture lie that came with its text."""

    file: str
    row: int = -1
    """Of a Parquet file; -1 in other files."""
    column: str = ""
    """Of a Parquet file."""
    offset: int = 0
    size: int = -1
    """Bytes from `offset` on; -1 is the whole file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A picture's address and its texts, as an input names them."""

    address: str
    """Of the picture; for one without, its file, and its name there."""
    captions: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else the input says of it."""
    held: Held | None = None
    """Where its bytes are; None has to be fetched."""
    failure: str = ""
    """Why the input gives no pair here: its row is `malformed`, or the file is `cut`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Pairs that a chunk works through, as its items say it."""

    table: int
    """The number of the table that holds them."""
    group: int
    """Their row group there."""
    pairs: int
    digest: str
    """Of all that the input says of them."""


HELD = pa.struct(
    [
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("column", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("size", pa.int64()),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("address", pa.string(), nullable=False),
        pa.field("captions", pa.list_(pa.string()), nullable=False),
        pa.field("facts", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("held", HELD),
        pa.field("failure", pa.string(), nullable=False),
    ]
)
"""The columns of the table."""


def arrange_captions(pairs: Iterable[Pair], captions: Captions) -> Iterator[Pair]:
    """`pairs` with one caption each, or with all captions of an address whose pairs follow each other."""
    if captions == "apart":
        for pair in pairs:
            texts = pair.captions or ("",)
            yield from (replace(pair, captions=(text,)) for text in dict.fromkeys(texts))
        return
    for _, group in itertools.groupby(pairs, key=lambda pair: (pair.address, pair.failure)):
        several = list(group)
        texts = dict.fromkeys(text for pair in several for text in pair.captions)
        yield replace(several[0], captions=tuple(texts) or ("",))


def write_pairs(location: Location, number: int, pairs: Iterable[Pair], size: int) -> list[Run]:
    """Writes `pairs` as table `number` in runs of `size`, whole or not at all; returns the runs."""
    runs, upcoming = list[Run](), iter(pairs)
    with location.written_whole() as path, pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        while batch := list(itertools.islice(upcoming, size)):
            rows = [_row(pair) for pair in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), row_group_size=size)
            digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
            runs.append(Run(table=number, group=len(runs), pairs=len(batch), digest=digest))
    return runs


def read_pairs(location: Location, run: Run) -> list[Pair]:
    """The pairs of `run` in the table at `location`."""
    with location.filesystem.open_input_file(location.path) as file:
        rows = pq.ParquetFile(file).read_row_group(run.group).slice(0, run.pairs).to_pylist()
    return [_pair(row) for row in rows]


def storable(text: str) -> str:
    """`text` as UTF-8 can hold it: JSON can bring half a surrogate pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _row(pair: Pair) -> dict[str, Any]:
    row = asdict(pair)
    return {**row, "captions": list(pair.captions), "facts": sorted(pair.facts.items())}


def _pair(row: Mapping[str, Any]) -> Pair:
    return Pair(
        address=row["address"],
        captions=tuple(row["captions"]),
        facts=dict(row["facts"]),
        held=Held(**row["held"]) if row["held"] else None,
        failure=row["failure"],
    )
