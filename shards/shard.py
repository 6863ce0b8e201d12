"""A shard on disk: a WebDataset tar of documents, and beside it a Parquet index with a row a document.

The same documents give the same bytes: members are in a fixed order, JSON keys are sorted, and modification
times, owners and modes are constants.
"""

import hashlib
import io
import itertools
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from shards.document import Document
from shards.errors import DatasetError
from shards.location import Location
from shards.schema import decode_document, encode_document, member_names

INDEX_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # of its first tar header, in bytes
        pa.field("size", pa.int64(), nullable=False),  # of its members with headers and padding, in bytes
        pa.field("source", pa.string(), nullable=False),
        pa.field("texts", pa.int32(), nullable=False),  # blocks of text
        pa.field("images", pa.int32(), nullable=False),
        pa.field("videos", pa.int32(), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),  # of images and videos together
        pa.field("characters", pa.int64(), nullable=False),  # of all texts together
        pa.field("words", pa.int64(), nullable=False),  # separated by white space
        pa.field("facts", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("measures", pa.map_(pa.string(), pa.float64()), nullable=False),
    ]
)
"""The columns of a shard's index."""


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


def write_shard(folder: Location, name: str, documents: Iterable[Document]) -> ShardRecord:
    """Writes `{name}.tar` and `{name}.parquet` into `folder`, each whole or not at all.

    Raises DatasetError if two documents have one key, or a key is not safe as a file name.
    """
    rows: list[dict[str, object]] = []
    with (folder / f"{name}.tar").written_whole() as path:
        with path.open("wb") as file:
            for document in documents:
                rows.append(_index_row(document, file.tell(), _append(file, document)))
            file.write(bytes(2 * tarfile.BLOCKSIZE))
        _refuse_repeated_keys(rows, name)
        tar_bytes, tar_sha256 = path.stat().st_size, sha256_of(path)
    index = pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)
    with (folder / f"{name}.parquet").written_whole() as path:
        with pq.ParquetWriter(path, INDEX_SCHEMA, compression="zstd") as writer:
            writer.write_table(index)
        index_sha256 = sha256_of(path)
    return ShardRecord(
        name=name,
        documents=len(rows),
        images=_total(index, "images"),
        videos=_total(index, "videos"),
        words=_total(index, "words"),
        bytes=tar_bytes,
        sha256=tar_sha256,
        index_sha256=index_sha256,
    )


def read_document(data: bytes, where: str) -> Document:
    """The document whose tar members are `data`, as the index's offset and size cut them out."""
    documents = list(_documents(io.BytesIO(data), where))
    if len(documents) != 1:
        raise DatasetError(f"{where}: the index names one document here and the tar holds {len(documents)}")
    return documents[0]


def read_shard(shard: Location) -> Iterator[Document]:
    """All documents of the tar at `shard`, in order. Raises DatasetError if it is cut or breaks the schema."""
    with shard.filesystem.open_input_file(shard.path) as stream:
        yield from _documents(cast(IO[bytes], stream), str(shard))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _append(file: IO[bytes], document: Document) -> int:
    """Writes the members of `document`; returns how many bytes they take."""
    if not document.key.isalnum() or not document.key.isascii():
        raise DatasetError(f"document of {document.source!r} has key {document.key!r}; use letters and digits only")
    start = file.tell()
    frames = [frame.data for media in document.media for frame in media.frames]
    names = [f"{document.key}.json", *member_names(document)]
    for name, data in zip(names, [encode_document(document), *frames], strict=True):
        header = tarfile.TarInfo(name)
        header.size = len(data)
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.write(data)
        file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
    return file.tell() - start


def _documents(stream: IO[bytes], where: str) -> Iterator[Document]:
    for key, group in itertools.groupby(_members(stream, where), key=lambda member: member[0].partition(".")[0]):
        members = dict(group)
        yield decode_document(members.pop(f"{key}.json", b""), members, f"{where}, document {key}")


def _members(stream: IO[bytes], where: str) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or "/" in member.name:
                    raise DatasetError(f"{where}: member {member.name!r} is not a plain file of a document")
                data = content.read()
                if len(data) != member.size:
                    raise DatasetError(f"{where} is cut inside member {member.name!r}")
                yield member.name, data
    except tarfile.TarError as error:
        raise DatasetError(f"{where} is not a whole tar: {error}") from None


def _index_row(document: Document, offset: int, size: int) -> dict[str, object]:
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


def _refuse_repeated_keys(rows: list[dict[str, object]], name: str) -> None:
    seen = set[object]()
    for row in rows:
        if row["key"] in seen:
            raise DatasetError(f"shard {name}: two documents have key {row['key']} (source {row['source']!r})")
        seen.add(row["key"])


def _total(index: pa.Table, column: str) -> int:
    return sum(cast(list[int], index.column(column).to_pylist()))
