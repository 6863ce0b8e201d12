"""OBELICS: Parquet files whose rows are pages, with texts and image addresses side by side in two lists.

A row is read as huggingface.co/datasets/HuggingFaceM4/OBELICS describes it: `texts[i]` or `images[i]` is null, and
`metadata`, a JSON list, tells of image i where its address came from and what its alternative text is. Two things are
mended. Texts hold END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED where a "read more" link stood, which is no text. And a relative
address was taken for one from the root of the host, by https; that is tried first, since it gave OBELICS an image, and
then the address that the page meant.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.found import Found, address_of, english_page, image_at
from pipeline.page import Block, TextBlock
from shards.errors import DatasetError
from shards.foreign.records import BadRecord, parsed
from shards.location import Location

COLUMNS = ("texts", "images", "metadata", "general_metadata")
MARK = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"
BATCH_ROWS = 64


def count_rows(file: Location) -> int:
    """How many rows `file` holds. Raises DatasetError if it is not of this set."""
    try:
        with file.filesystem.open_input_file(file.path) as source:
            metadata = pq.read_metadata(source)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{file} cannot be read as Parquet: {error}") from None
    missing = [name for name in COLUMNS if name not in metadata.schema.to_arrow_schema().names]
    if missing:
        raise DatasetError(f"{file} has no column {missing[0]!r}; a file of OBELICS has {', '.join(COLUMNS)}")
    return metadata.num_rows


def read_rows(file: Location, start: int, stop: int) -> Iterator[dict[str, Any]]:
    """Rows `start` to `stop` of `file`; row groups without any of them are not read."""
    with file.filesystem.open_input_file(file.path) as source:
        parquet = pq.ParquetFile(source)
        first, groups = _row_groups(parquet.metadata, start, stop)
        for batch in parquet.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(COLUMNS)):
            wanted = batch.slice(max(0, start - first), max(0, stop - max(start, first)))
            yield from wanted.to_pylist()
            first += batch.num_rows


def page_of_row(row: Mapping[str, Any]) -> Found:
    """The page of a row. Raises BadRecord: `malformed`, `lengths_differ`, `bad_address`."""
    texts, images = row["texts"] or [], row["images"] or []
    said = parsed(row["metadata"], list)
    if not len(texts) == len(images) == len(said):
        raise BadRecord("lengths_differ")
    address = address_of(parsed(row["general_metadata"], dict).get("url"))
    blocks = (_block(*place, address) for place in zip(texts, images, said, strict=True))
    return english_page(address, (block for block in blocks if block))


def _row_groups(metadata: pq.FileMetaData, start: int, stop: int) -> tuple[int, list[int]]:
    """The row groups that hold some of the rows, and the first row in them."""
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    begins = [sum(sizes[:group]) for group in range(len(sizes))]
    groups = [
        g for g, (begin, size) in enumerate(zip(begins, sizes, strict=True)) if begin < stop and begin + size > start
    ]
    return (begins[groups[0]] if groups else 0), groups


def _block(text: str | None, image: str | None, said: object, address: str) -> Block | None:
    if image is not None:
        told = said if isinstance(said, dict) else {}
        return image_at(image, address, told.get("unformatted_src"), alt=told.get("alt_text"))
    paragraphs = (paragraph.strip() for paragraph in (text or "").replace(MARK, "\n\n").split("\n\n"))
    kept = "\n\n".join(filter(None, paragraphs))
    return TextBlock(text=kept) if kept else None
