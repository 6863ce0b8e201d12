"""Which addresses archives hold and where: a small Parquet table beside the shards, made once for each archive.

With it the pages of one archive are cut into chunks that run side by side, and a rerun does not read it all again.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.errors import DatasetError
from shards.location import Location

SCHEMA = pa.schema(
    {
        "url": pa.string(),
        "archive": pa.string(),
        "offset": pa.int64(),
        "length": pa.int64(),
        "status": pa.int16(),
        "target": pa.string(),
        "page": pa.bool_(),
    }
)
"""The fields of `Entry`; one row an address, those of pages first, in the order in which they are worked on."""
INDEX = "index"
"""The folder of the indexes, in that of the output."""
SAYS = b"flamboyance"
"""The key of the table's metadata under which counts and notes stand, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What lies at one address, and where: a row of the index."""

    url: str
    """Canonical."""
    archive: str
    """Path or address of the archive."""
    offset: int
    """First byte of its record there, or of the gzip member or zstd frame that holds the record."""
    length: int
    """Bytes of that."""
    status: int
    """Of the HTTP answer; 200 for what was stored without one."""
    target: str = ""
    """Where it redirects to, canonical, or empty."""
    page: bool = False
    """Whether it is a page to make a document of."""

    @property
    def rank(self) -> tuple[bool, bool]:
        """Of two entries of an address the smaller is the better: an answer, then a redirect, then a failure."""
        return self.status != 200, not self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveIndex:
    """The index of one archive, or of the parts of many that a list of pages names."""

    entries: Sequence[Entry]
    """Those of pages first."""
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    """Where the archive is cut or broken."""
    one_piece: str = ""
    """The archive, if its records cannot be decompressed one by one: offsets are those in it once it is plain."""

    @property
    def pages(self) -> int:
        return sum(entry.page for entry in self.entries)


def index_name(archive: str, size: int) -> str:
    """The name of the index of an archive of `size` bytes; one that grew gets another."""
    return f"{hashlib.sha256(archive.encode()).hexdigest()[:16]}-{size}.parquet"


def write_index(location: Location, index: ArchiveIndex) -> None:
    says = {"counts": dict(index.counts), "notes": index.notes, "one_piece": index.one_piece, "pages": index.pages}
    rows = [asdict(entry) for entry in index.entries]
    _write(location, pa.Table.from_pylist(rows, schema=SCHEMA), says)


def join_indexes(location: Location, parts: Sequence[Location]) -> None:
    """Writes to `location` the rows of all `parts` as one index, the better ones first, unless that stands there.

    Those of archives in one piece are left out: to read from them they would have to be decompressed whole.
    """
    names = [part.name for part in parts]
    if location.exists() and read_index(location).notes == tuple(names):
        return
    tables = [_open(part).read() for part in parts]
    readable = [table for table in tables if not _says(location, table.schema.metadata)["one_piece"]]
    joined = pa.concat_tables([SCHEMA.empty_table(), *(table.replace_schema_metadata() for table in readable)])
    answers, redirects = pc.field("status") == 200, pc.field("target") != ""
    ranked = (answers, ~answers & redirects, ~(answers | redirects))  # as Entry.rank has it
    joined = pa.concat_tables([joined.filter(rows) for rows in ranked])
    _write(location, joined, {"counts": {}, "notes": names, "one_piece": "", "pages": 0})


def _write(location: Location, table: pa.Table, says: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({SAYS: json.dumps(says).encode()}), buffer, compression="zstd")
    location.write(buffer.getvalue())


class IndexTable:
    """An index as it is looked up in: rows are made entries when they are asked for."""

    def __init__(self, table: pa.Table, says: Mapping[str, Any]) -> None:
        self._table = table
        self._rows = dict[str, int]()
        for row, url in enumerate(table["url"].to_pylist()):
            self._rows.setdefault(str(url), row)
        self.counts: Mapping[str, int] = says["counts"]
        self.notes: tuple[str, ...] = tuple(says["notes"])
        self.one_piece: str = says["one_piece"]

    def find(self, url: str) -> Entry | None:
        row = self._rows.get(url)
        return None if row is None else Entry(**self._table.slice(row, 1).to_pylist()[0])

    def entries(self, number: int) -> list[Entry]:
        """Those of the first `number` rows."""
        return [Entry(**row) for row in self._table.slice(0, number).to_pylist()]

    def addresses(self, start: int, stop: int) -> list[str]:
        """The addresses of the rows from `start` to before `stop`, in order."""
        return list(self._rows)[start:stop]


def read_index(location: Location) -> IndexTable:
    """The index at `location`. Raises DatasetError if it is not there or is none."""
    table = _open(location).read()
    return IndexTable(table, _says(location, table.schema.metadata))


def count_rows(location: Location) -> tuple[int, int]:
    """How many pages and how many addresses the index at `location` has, by its metadata alone. Raises DatasetError."""
    metadata = _open(location).metadata
    return _says(location, metadata.metadata)["pages"], metadata.num_rows


def _open(location: Location) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(location.path, filesystem=location.filesystem)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{location} cannot be read as an index of archives: {error}; delete it") from None


def _says(location: Location, metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    if not metadata or SAYS not in metadata:
        raise DatasetError(f"{location} is not an index of archives; delete it")
    return json.loads(metadata[SAYS])
