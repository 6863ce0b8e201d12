"""What became of every page and of everything that a page names: kept, or the reason why not.

A page's record is filled while the page is worked on, and counted when its turn comes, so that counts and order
depend on nothing that answered first. A chunk's records are written beside its shards, before its commit: a row each
thing, from which `--retry-failed` knows what to ask for again.
"""

import itertools
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.fetching import failures
from shards.chunk import Tally
from shards.document import Document
from shards.location import Location
from shards.manifest import Commit

LEDGER = "ledger"
"""The folder of an output in which the ledgers lie."""
ASKED = ("page", "pair")
"""Kinds of which all that were asked for are counted, kept or not; of the others, those that were kept."""
PASSING = failures.PASSING | {"fetcher_lost"}
"""Reasons that may not hold another time."""
SCHEMA = pa.schema(
    [
        pa.field("place", pa.int32(), nullable=False),  # of the page among those of its chunk
        pa.field("page", pa.string(), nullable=False),  # the address that was asked for
        pa.field("key", pa.string(), nullable=False),  # of the page's document; empty if there is none
        pa.field("kind", pa.string(), nullable=False),
        pa.field("address", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # why it was dropped; empty if it was kept
    ]
)
"""The columns of a ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one thing."""

    kind: str
    """`page`, `pair`, `image`, `video`, `player`, `audio` or `caption`."""
    address: str
    reason: str = ""
    """Why it was dropped; empty if it was kept."""


@dataclass(slots=True)
class Record:
    """What became of one page, or pair, and of all that it names, in the order of the DOM."""

    page: str
    """The address that was asked for: of the page, or of the pair's image."""
    key: str = ""
    """Of the document that came of it; empty if none did."""
    entries: list[Entry] = field(default_factory=list[Entry])

    def keep(self, kind: str, address: str = "") -> None:
        self.drop(kind, "", address)

    def drop(self, kind: str, reason: str, address: str = "") -> None:
        self.entries.append(Entry(kind=kind, address=address or self.page, reason=reason))

    @property
    def may_pass(self) -> bool:
        """Whether something of it failed in a way that may not hold another time."""
        return any(entry.reason in PASSING for entry in self.entries)

    def kept(self, kind: str) -> int:
        return sum(entry.kind == kind and not entry.reason for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one page, or pair."""

    record: Record
    document: Document | None = None
    links: frozenset[str] = frozenset()
    """Addresses to follow."""


@dataclass(slots=True)
class Ledger:
    """The records of a chunk, counted into its tally."""

    tally: Tally
    records: list[Record] = field(default_factory=list[Record])

    def add(self, record: Record) -> None:
        """Counts drops as `image_timeout`, what was kept as `images`, and as `pages` all pages that were asked for."""
        self.records.append(record)
        for entry in record.entries:
            if entry.reason:
                self.tally.drop(f"{entry.kind}_{entry.reason}")
            if not entry.reason or entry.kind in ASKED:
                self.tally.count(f"{entry.kind}s")


def ledger_of(output: Location, chunk: str, generation: int) -> Location:
    return output / LEDGER / f"{chunk}-g{generation}.parquet"


def write_ledger(location: Location, ledger: Ledger) -> None:
    rows = [
        {"place": place, "page": record.page, "key": record.key}
        | {"kind": entry.kind, "address": entry.address, "reason": entry.reason}
        for place, record in enumerate(ledger.records)
        for entry in record.entries
    ]
    with location.written_whole() as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="zstd")


def read_ledger(output: Location, commit: Commit) -> list[Record]:
    """The records of a committed chunk, in order; none if the chunk keeps no ledger."""
    location = ledger_of(output, commit.chunk, commit.generation)
    if not location.exists():
        return []
    with location.filesystem.open_input_file(location.path) as file:
        rows = pq.read_table(file).to_pylist()
    records = list[Record]()
    for _, group in itertools.groupby(rows, key=lambda row: row["place"]):
        first, *others = group
        record = Record(first["page"], first["key"])
        for row in (first, *others):
            record.drop(row["kind"], row["reason"], row["address"])
        records.append(record)
    return records
