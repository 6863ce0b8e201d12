"""Writes a dataset for other tools: `python -m shards.export data/m3w --format parquet --output data/m3w-parquet`.

    parquet       a file a shard with OBELICS's columns: images (addresses), texts, metadata, general_metadata; with
                  --pictures a column image_bytes beside them
    img2dataset   a tar a shard of 000000000.jpg, .txt, .json, and beside it the table and the counts that img2dataset
                  writes; of documents with one image and some text

What a format has no place for is left out and counted by reason.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shards.claim import claim
from shards.dataset import open_dataset
from shards.document import Document, Media, Text
from shards.errors import DatasetError
from shards.location import Location, locate
from shards.tar import TAR_END, append_members

BATCH_DOCUMENTS = 100
"""Documents of a row group, with their pictures in memory."""
LIST_OF_TEXTS = pa.list_(pa.string())
OBELICS_COLUMNS: Mapping[str, pa.DataType] = {
    "images": LIST_OF_TEXTS,
    "metadata": pa.string(),
    "general_metadata": pa.string(),
    "texts": LIST_OF_TEXTS,
}
"""The columns of huggingface.co/datasets/HuggingFaceM4/OBELICS."""
PICTURES: Mapping[str, pa.DataType] = {"image_bytes": pa.list_(pa.large_binary())}
"""The encoded picture beside its address, null beside a text."""
PAIR_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("url", "caption", "key", "status", "error_message")),
        *(pa.field(name, pa.int32()) for name in ("width", "height", "original_width", "original_height")),
        pa.field("exif", pa.string()),
        pa.field("sha256", pa.string()),
    ]
)
"""The columns of img2dataset 1.47 for a list of addresses and captions."""


def export_parquet(documents: Iterable[Document], target: Location, pictures: bool, drops: Counter[str]) -> int:
    """Writes `documents` as one Parquet file; returns how many. One with a video is dropped as `video`."""
    written = 0
    schema = pa.schema({**OBELICS_COLUMNS, **(PICTURES if pictures else {})})
    with target.written_whole() as path, pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(_without_videos(documents, drops)):
            rows = [_obelics_row(document, pictures) for document in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            written += len(rows)
    return written


def export_pairs(documents: Iterable[Document], target: Location, number: int, drops: Counter[str]) -> int:
    """Writes `documents` as shard `number` of img2dataset into the folder `target`; returns how many.

    One that is not one image with some text is dropped as `not_a_pair`.
    """
    rows, name = list[dict[str, Any]](), f"{number:05d}"
    with (target / f"{name}.tar").written_whole() as path, path.open("wb") as file:
        for document in documents:
            if len(document.media) != 1 or document.media[0].kind != "image" or not document.texts:
                drops["not_a_pair"] += 1
                continue
            row = _pair_row(document, f"{name}{len(rows):04d}")
            frame = document.media[0].frames[0]
            parts = {
                frame.format: frame.data,
                "txt": row["caption"].encode(),
                "json": json.dumps(row, indent=4).encode(),
            }
            append_members(file, ((f"{row['key']}.{suffix}", data) for suffix, data in parts.items()))
            rows.append(row)
        file.write(TAR_END)
    with (target / f"{name}.parquet").written_whole() as path, pq.ParquetWriter(path, PAIR_SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=PAIR_SCHEMA))
    stats = {"count": len(rows), "successes": len(rows), "failed_to_download": 0, "failed_to_resize": 0}
    (target / f"{name}_stats.json").write(json.dumps(stats, indent=4).encode())
    return len(rows)


def _obelics_row(document: Document, pictures: bool) -> dict[str, Any]:
    blocks = document.blocks
    row: dict[str, Any] = {
        "images": [block.url if isinstance(block, Media) else None for block in blocks],
        "metadata": json.dumps([_obelics_metadata(document, block) for block in blocks]),
        "general_metadata": json.dumps({"url": document.source, **document.facts}),
        "texts": [block.text if isinstance(block, Text) else None for block in blocks],
    }
    if pictures:
        row["image_bytes"] = [block.frames[0].data if isinstance(block, Media) else None for block in blocks]
    return row


def _obelics_metadata(document: Document, block: Text | Media) -> dict[str, Any] | None:
    if isinstance(block, Text):
        return None
    frame = block.frames[0]
    return {
        "document_url": document.source,
        "src": block.url,
        "alt_text": block.alt,
        "format": frame.format,
        "original_width": frame.width,
        "original_height": frame.height,
    }


def _pair_row(document: Document, key: str) -> dict[str, Any]:
    (image,), caption = document.media, " ".join(text.text for text in document.texts)
    (frame,) = image.frames
    size = {"width": frame.width, "height": frame.height}
    return {
        "url": image.url,
        "caption": caption.encode("utf-8", "replace").decode(),
        "key": key,
        "status": "success",
        "error_message": None,
        **size,
        **{f"original_{name}": pixels for name, pixels in size.items()},
        "exif": "{}",
        "sha256": hashlib.sha256(frame.data).hexdigest(),
    }


def _without_videos(documents: Iterable[Document], drops: Counter[str]) -> Iterator[Document]:
    for document in documents:
        if any(media.kind == "video" for media in document.media):
            drops["video"] += 1
        else:
            yield document


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch = list[Document]()
    for document in documents:
        batch.append(document)
        if len(batch) == BATCH_DOCUMENTS:
            yield batch
            batch = []
    if batch:
        yield batch


def export(arguments: argparse.Namespace) -> tuple[int, Counter[str]]:
    """How many documents were written, and how many were not by reason. Raises DatasetError, also for a used folder."""
    dataset, target = open_dataset(arguments.dataset), locate(arguments.output)
    if any(not name.startswith(".") for name in target.files()):
        raise DatasetError(f"output {target} is a folder with files in it; give a new folder")
    claim(target)
    written, drops = 0, Counter[str]()
    for number, shard in enumerate(dataset.manifest.shards):
        documents = dataset.shard_documents(shard.name)
        if arguments.format == "parquet":
            written += export_parquet(documents, target / f"{shard.name}.parquet", arguments.pictures, drops)
        else:
            written += export_pairs(documents, target, number, drops)
    return written, drops


def main(argv: Sequence[str] | None = None) -> int:
    """Prints what was written and what was not; the exit code is 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m shards.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="folder or address of a finished dataset")
    parser.add_argument("--format", required=True, choices=("parquet", "img2dataset"))
    parser.add_argument("--output", required=True, help="a new folder or address")
    parser.add_argument("--pictures", action="store_true", help="with --format parquet: the pictures' bytes too")
    arguments = parser.parse_args(argv)
    try:
        written, drops = export(arguments)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{written} documents written to {arguments.output}")
    for reason, number in sorted(drops.items()):
        print(f"{number} left out: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
