"""How a ledger lies on disk: beside a chunk's shards, written before its commit, a row each thing.

From it `--retry-failed` knows what to ask for again, and `python -m pipeline.ledger` why something was dropped.
"""

import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ledger.record import Entry, Record
from shards.location import Location
from shards.manifest import Commit

LEDGER = "ledger"
"""The folder of an output in which the ledgers lie."""
ROWS = 10_000
"""So many rows of a ledger are held at once."""
SCHEMA = pa.schema(
    [
        pa.field("place", pa.int32(), nullable=False),  # of the page among those of its chunk
        pa.field("page", pa.string(), nullable=False),  # the address that was asked for
        pa.field("key", pa.string(), nullable=False),  # of the page's document; empty if there is none
        pa.field("kind", pa.string(), nullable=False),
        pa.field("address", pa.string(), nullable=False),
        pa.field("number", pa.int32(), nullable=False),  # of a paragraph or medium in its document, or -1
        pa.field("reason", pa.string(), nullable=False),  # why it was dropped; empty if it was kept
        pa.field("stage", pa.string(), nullable=False),  # the pass that dropped it; empty for rules on it alone
        pa.field("measure", pa.float64()),  # what was out of bounds
        pa.field("threshold", pa.float64()),  # the bound
        pa.field("measures", pa.map_(pa.string(), pa.float64()), nullable=False),  # also of what was kept
        pa.field("other", pa.string(), nullable=False),  # of what it is a copy
    ]
)
"""The columns of a ledger."""


def ledger_of(output: Location, chunk: str, generation: int) -> Location:
    return output / LEDGER / f"{chunk}-g{generation}.parquet"


@contextmanager
def open_ledger(location: Location) -> Generator[Callable[[Record], None]]:
    """A function that adds a record to the ledger at `location`, which stands whole when the block ends, or not."""
    rows, places = list[dict[str, Any]](), itertools.count()
    with location.written_whole() as path, pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:

        def add(record: Record) -> None:
            place = next(places)
            rows.extend(_row(place, record, entry) for entry in record.entries)
            if len(rows) >= ROWS:
                flush()

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            rows.clear()

        yield add
        flush()


def write_ledger(location: Location, records: Iterable[Record]) -> None:
    """Writes `records` to the file at `location`, whole or not at all."""
    with open_ledger(location) as add:
        for record in records:
            add(record)


def read_ledger(output: Location, commit: Commit) -> Iterator[Record]:
    """The records of a committed chunk, in order; none if the chunk keeps no ledger."""
    location = ledger_of(output, commit.chunk, commit.generation)
    return read_records(location) if location.exists() else iter(())


def read_records(location: Location) -> Iterator[Record]:
    """The records in the ledger at `location`, in order."""
    for _, group in itertools.groupby(_rows(location), key=lambda row: row["place"]):
        first, *others = group
        yield Record(first["page"], first["key"], [_entry(row) for row in (first, *others)])


def _rows(location: Location) -> Iterator[dict[str, Any]]:
    with location.filesystem.open_input_file(location.path) as file:
        for batch in pq.ParquetFile(file).iter_batches(ROWS):
            yield from batch.to_pylist(maps_as_pydicts="strict")


def _row(place: int, record: Record, entry: Entry) -> dict[str, Any]:
    columns = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    columns["measures"] = sorted(entry.measures.items())
    return {"place": place, "page": record.page, "key": record.key, **columns}


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(**{field.name: row[field.name] for field in dataclasses.fields(Entry) if field.name in row})
