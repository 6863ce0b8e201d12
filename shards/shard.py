"""A shard on disk: a WebDataset tar of documents, and beside it a Parquet index with a row a document.

The same documents give the same bytes: members are in a fixed order, JSON keys are sorted, and modification
times, owners and modes are constants.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from shards.document import Document
from shards.errors import DatasetError
from shards.index import index_row, write_index
from shards.location import Location
from shards.schema import decode_document, encode_document, member_names
from shards.tar import KEY, TAR_END, Run, append_members, read_runs

FEATURES = "features"
"""Folder of a dataset for what was computed from its shards: FEATURES/KEY/SHARD.safetensors, which go with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """What the manifest says of one shard."""

    name: str
    """Its tar is `{name}.tar` and its index `{name}.parquet`."""
    documents: int
    images: int
    videos: int
    words: int
    bytes: int
    """Of the tar."""
    sha256: str
    """Of the tar."""
    index_sha256: str


def write_shard(
    folder: Location,
    name: str,
    documents: Iterable[Document],
    *,
    most_bytes: int | None = None,
    most_documents: int | None = None,
) -> ShardRecord:
    """Writes `{name}.tar` and `{name}.parquet` into `folder`, each whole or not at all.

    The shard is closed with the document that brings its tar to `most_bytes`, or with document number
    `most_documents`; an iterator still has the others then. Raises DatasetError if two documents have one key, a key
    is not safe as a file name, or the disk is full.
    """
    rows: list[dict[str, object]] = []
    with (folder / f"{name}.tar").written_whole() as path:
        with path.open("wb") as file:
            for document in documents:
                rows.append(index_row(document, file.tell(), _append(file, document)))
                if len(rows) == most_documents or (most_bytes is not None and file.tell() >= most_bytes):
                    break
            file.write(TAR_END)
        _refuse_repeated_keys(rows, name)
        tar_bytes, tar_sha256 = path.stat().st_size, sha256_of(path)
    with (folder / f"{name}.parquet").written_whole() as path:
        write_index(path, rows)
        index_sha256 = sha256_of(path)
    return record_of(name, rows, tar_bytes, tar_sha256, index_sha256)


def record_of(name: str, rows: list[dict[str, object]], size: int, sha256: str, index_sha256: str) -> ShardRecord:
    """The manifest's record of a shard of `size` bytes whose index has `rows`."""
    images, videos, words = (sum(cast(int, row[column]) for row in rows) for column in ("images", "videos", "words"))
    return ShardRecord(
        name=name,
        documents=len(rows),
        images=images,
        videos=videos,
        words=words,
        bytes=size,
        sha256=sha256,
        index_sha256=index_sha256,
    )


def read_document(data: bytes, where: str) -> Document:
    """The document whose tar members are `data`, as the index's offset and size cut them out."""
    runs = list(read_runs(io.BytesIO(data), len(data), where, ended=False))
    if len(runs) != 1:
        raise DatasetError(f"{where}: the index names one document here and the tar holds {len(runs)}")
    return decode_run(runs[0], where)


def read_shard(shard: Location) -> Iterator[Document]:
    """All documents of the tar at `shard`, in order. Raises DatasetError if it is cut or breaks the schema."""
    with shard.open() as stream:
        for run in read_runs(stream, stream.size, str(shard), ended=True):
            yield decode_run(run, str(shard))


def decode_run(run: Run, where: str) -> Document:
    """The document of a run of members. Raises DatasetError naming `where` and its key if it breaks the schema."""
    frames = dict(run.members)
    where = f"{where}, document {run.key}"
    document = decode_document(frames.pop(f"{run.key}.json", b""), frames, where)
    if document.key != run.key:
        raise DatasetError(f"{where}: field 'key' is {document.key!r} and its members are named {run.key}")
    return document


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _append(file: IO[bytes], document: Document) -> int:
    """Writes the members of `document`; returns how many bytes they take."""
    if not KEY.fullmatch(document.key):
        raise DatasetError(
            f"document of {document.source!r} has key {document.key!r}; use 1 to 64 letters and digits of ASCII"
        )
    frames = [frame.data for media in document.media for frame in media.frames]
    names = [f"{document.key}.json", *member_names(document)]
    return append_members(file, zip(names, [encode_document(document), *frames], strict=True))


def _refuse_repeated_keys(rows: list[dict[str, object]], name: str) -> None:
    seen = set[object]()
    for row in rows:
        if row["key"] in seen:
            raise DatasetError(f"shard {name}: two documents have key {row['key']} (source {row['source']!r})")
        seen.add(row["key"])
