"""The index of a shard: a Parquet table with a row a document, read without its tar.

In the file, facts and measures are lists of names and values, which every reader of Parquet knows; in memory they are
maps.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shards.document import Document

COLUMNS: Mapping[str, Any] = {
    "key": pa.string(),
    "offset": pa.int64(),  # of its first tar header, in bytes
    "size": pa.int64(),  # of its members with headers and padding, in bytes
    "source": pa.string(),
    "texts": pa.int32(),  # blocks of text
    "images": pa.int32(),
    "videos": pa.int32(),
    "frames": pa.int32(),  # of images and videos together
    "characters": pa.int64(),  # of all texts together
    "words": pa.int64(),  # separated by white space
    "facts": pa.map_(pa.string(), pa.string()),
    "measures": pa.map_(pa.string(), pa.float64()),
}
"""The columns of a shard's index; none is ever null."""
LISTS: Mapping[str, Any] = {
    name: pa.list_(pa.struct([pa.field("name", pa.string(), False), pa.field("value", value, False)]))
    for name, value in (("facts", pa.string()), ("measures", pa.float64()))
}
"""How the maps lie in the file."""
INDEX_SCHEMA = pa.schema([pa.field(name, kind, False) for name, kind in COLUMNS.items()])
FILE_SCHEMA = pa.schema([pa.field(name, kind, False) for name, kind in {**COLUMNS, **LISTS}.items()])


def index_row(document: Document, offset: int, size: int) -> dict[str, object]:
    """The row of `document` in the index of a shard where it lies at `offset` and takes `size` bytes."""
    return {
        "key": document.key,
        "offset": offset,
        "size": size,
        "source": document.source,
        "texts": len(document.texts),
        "images": sum(media.kind == "image" for media in document.media),
        "videos": sum(media.kind == "video" for media in document.media),
        "frames": sum(len(media.frames) for media in document.media),
        "characters": sum(len(text.text) for text in document.texts),
        "words": sum(len(text.text.split()) for text in document.texts),
        "facts": sorted(document.facts.items()),
        "measures": sorted(document.measures.items()),
    }


def write_index(path: Path, rows: list[dict[str, object]]) -> None:
    """Writes `rows` to a local file."""
    table = pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)
    with pq.ParquetWriter(path, FILE_SCHEMA, compression="zstd") as writer:
        writer.write_table(table.cast(FILE_SCHEMA))


def read_index(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """The table whose file is `data`, or these of its columns."""
    # Not pq.read_table: it imports pyarrow.dataset, a third of a second, and asks threads for a table this small.
    file = pq.ParquetFile(pa.BufferReader(data))
    table = file.read(columns=columns, use_threads=False)  # pyright: ignore[reportUnknownMemberType]
    for name in LISTS.keys() & set(table.column_names):
        place = table.column_names.index(name)
        table = table.set_column(
            place, pa.field(name, COLUMNS[name], False), _as_map(table.column(name).combine_chunks())
        )
    return table


def _as_map(lists: Any) -> Any:
    """The pyarrow map array with the names and values of a list array."""
    maps: Any = pa.MapArray
    return maps.from_arrays(lists.offsets, lists.values.field("name"), lists.values.field("value"))
