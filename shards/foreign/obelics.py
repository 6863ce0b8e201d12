"""OBELICS: Parquet files whose rows are pages, with texts and image addresses side by side in two lists.

A row is read as huggingface.co/datasets/HuggingFaceM4/OBELICS describes it: `texts[i]` or `images[i]` is null, and
`metadata`, a JSON list, says what the alternative text of image i is. The set has no pictures: they are in a column
`image_bytes` (as `shards.export --pictures` writes it) or in a folder, named by the sha256 of their addresses in
hexadecimal, and `.jpg`, `.png` or `.webp`. A row's place is its number and its row group's.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from shards.document import Document, Media, Text, document_key
from shards.errors import DatasetError
from shards.foreign.records import FORMATS, BadRecord, frame_of, parsed, storable, texts_in
from shards.location import Location, locate

COLUMNS = ("texts", "images", "metadata", "general_metadata")
MARK = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"
"""Stands where a "read more" link stood, and is no text."""


def row_places(file: Location) -> Iterator[tuple[int, int]]:
    """The number of each row in its row group, and of that group. Raises DatasetError if it is no such file."""
    try:
        with file.filesystem.open_input_file(file.path) as source:
            metadata = pq.ParquetFile(source).metadata
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{file} cannot be read as Parquet: {error}") from None
    missing = [name for name in COLUMNS if name not in metadata.schema.to_arrow_schema().names]
    if missing:
        raise DatasetError(f"{file} has no column {missing[0]!r}; a file of OBELICS has {', '.join(COLUMNS)}")
    for group in range(metadata.num_row_groups):
        yield from ((row, group) for row in range(metadata.row_group(group).num_rows))


def read_row(file: Location, row: int, group: int) -> dict[str, Any]:
    """That row of that row group; the last row groups stay in memory."""
    return _row_group(str(file), group).slice(row, 1).to_pylist()[0]


@lru_cache(maxsize=4)
def _row_group(uri: str, group: int) -> pa.Table:
    file = locate(uri)
    with file.filesystem.open_input_file(file.path) as source:
        table: Any = pq.ParquetFile(source)
        return table.read_row_group(group)


def page_of(row: Mapping[str, Any], images: Location | None, drops: Counter[str]) -> Document:
    """The page of a row; an image that is not there, or no picture, is counted in `drops`.

    Raises BadRecord: `malformed`, `lengths_differ`, `no_image`.
    """
    texts, addresses = texts_in(row["texts"]), texts_in(row["images"])
    said = parsed(row["metadata"], list)
    url = parsed(row["general_metadata"], dict).get("url")
    held = row.get("image_bytes") or [None] * len(texts)
    if not isinstance(url, str):
        raise BadRecord("malformed")
    if not len(texts) == len(addresses) == len(said) == len(held):
        raise BadRecord("lengths_differ")
    blocks = list[Text | Media]()
    for text, address, told, data in zip(texts, addresses, said, held, strict=True):
        if address is None:
            blocks += _text(text or "")
            continue
        try:
            frame = frame_of(_bytes_at(address, images) if data is None else data)
        except BadRecord as bad:
            drops[f"image_{bad.reason}"] += 1
            continue
        alt = cast(dict[str, Any], told).get("alt_text") if isinstance(told, dict) else None
        alt = storable(alt) if isinstance(alt, str) else ""
        blocks.append(Media(kind="image", frames=(frame,), url=address, alt=alt))
    if not any(isinstance(block, Media) for block in blocks):
        raise BadRecord("no_image")
    return Document(key=document_key(url), source=storable(url), blocks=tuple(blocks))


def _text(text: str) -> list[Text]:
    paragraphs = (paragraph.strip() for paragraph in text.replace(MARK, "\n\n").split("\n\n"))
    kept = "\n\n".join(filter(None, paragraphs))
    return [Text(text=kept)] if kept else []


def _bytes_at(address: str, images: Location | None) -> bytes:
    """Raises BadRecord, `absent`."""
    name = hashlib.sha256(address.encode()).hexdigest()
    places = [images / f"{name}.{suffix}" for suffix in FORMATS.values()] if images else []
    for place in places:
        if place.exists():
            return place.read()
    raise BadRecord("absent")
