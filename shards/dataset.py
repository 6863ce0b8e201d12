"""Reading a dataset: its manifest, its index as one table or shard by shard, its documents in order or one by one."""

import hashlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shards.document import Document
from shards.errors import DatasetError, ShardError
from shards.foreign.layout import Layout, open_layout, read_strictly
from shards.index import INDEX_SCHEMA, read_index
from shards.location import Location, locate
from shards.manifest import Manifest, read_manifest
from shards.shard import ShardRecord, read_document, read_shard


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A folder of shards and the manifest that names them."""

    location: Location
    manifest: Manifest

    def index(self) -> pa.Table:
        """A row a document, in order: `shard` and the columns of `shards.index.INDEX_SCHEMA`.

        Raises ShardError if an index is missing or is another than the manifest names.
        """
        tables = [_with_shard(self.index_of(shard), shard.name) for shard in self.manifest.shards]
        return pa.concat_tables(tables) if tables else _with_shard(INDEX_SCHEMA.empty_table(), "")

    def shard_rows(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Two int64[documents]: where each document of shard `name` begins in its tar, and its size, in bytes.

        Reads the index of this one shard, and keeps nothing. Raises ShardError if the tar has another size than the
        manifest says, or the index is missing or is another than the manifest names.
        """
        shard = self._shards[name]
        with of_shard(name):
            self.tar_of(shard)
        table = self.index_of(shard, ["offset", "size"])
        return table.column("offset").to_numpy(), table.column("size").to_numpy()

    def documents(self) -> Iterator[Document]:
        """All documents in the order of the manifest.

        Raises ShardError if a shard is missing, is longer or shorter than the manifest says, holds another number of
        documents, or one that breaks the schema.
        """
        for shard in self.manifest.shards:
            yield from self.shard_documents(shard.name)

    def shard_documents(self, name: str) -> Iterator[Document]:
        """The documents of shard `name`. Raises ShardError as `documents` does."""
        shard, number = self._shards[name], 0
        with of_shard(name):
            tar = self.tar_of(shard)
            if self._layout:
                for offset, size in zip(*self.shard_rows(name), strict=True):
                    yield read_strictly(self._layout, tar, int(offset), int(size))
                return
            for document in read_shard(tar):
                number += 1
                yield document
            if number != shard.documents:
                raise DatasetError(f"{tar} holds {number} documents and the manifest says {shard.documents}")

    def read(self, shard: str, offset: int, size: int) -> Document:
        """The document whose members begin `offset` bytes into the tar of `shard` and take `size` bytes.

        Raises ShardError if the shard is cut, or what lies there is not one document.
        """
        tar = self._place(shard)
        with of_shard(shard):
            if self._layout:
                return read_strictly(self._layout, tar, offset, size)
            return read_document(tar.read_range(offset, size), f"{tar} at byte {offset}")

    def index_of(self, shard: ShardRecord, columns: list[str] | None = None) -> pa.Table:
        """The index of one shard, or some of its columns. Raises ShardError as `index` does."""
        location = self.location / f"{shard.name}.parquet"
        with of_shard(shard.name):
            data = location.read()
            if hashlib.sha256(data).hexdigest() != shard.index_sha256:
                raise DatasetError(
                    f"{location} is not the index that the manifest names, by its sha256; make the dataset again"
                )
        return read_index(data, columns)

    def tar_of(self, shard: ShardRecord) -> Location:
        """Raises DatasetError if it is missing, or longer or shorter than the manifest says."""
        tar = self._place(shard.name)
        size = tar.size()
        if size != shard.bytes:
            raise DatasetError(f"{tar} has {size} bytes and the manifest says {shard.bytes}; make the dataset again")
        return tar

    @cached_property
    def _shards(self) -> Mapping[str, ShardRecord]:
        return {shard.name: shard for shard in self.manifest.shards}

    @cached_property
    def _layout(self) -> Layout | None:
        """How the files lie if another tool wrote them."""
        return open_layout(self.manifest.foreign) if self.manifest.foreign else None

    def _place(self, shard: str) -> Location:
        """Where the documents of `shard` lie."""
        if self._layout:
            return locate(self.manifest.foreign["folder"]) / f"{shard}{self._layout.suffix}"
        return self.location / f"{shard}.tar"


@contextmanager
def of_shard(name: str) -> Generator[None]:
    """Whatever is wrong with the dataset inside this block is wrong with shard `name`: raises ShardError."""
    try:
        yield
    except ShardError:
        raise
    except DatasetError as error:
        raise ShardError(str(error), name) from None


def _with_shard(table: pa.Table, name: str) -> pa.Table:
    names = pa.array([name] * table.num_rows, pa.string())
    return table.add_column(0, pa.field("shard", pa.string(), nullable=False), names)


def open_dataset(uri: str) -> Dataset:
    """The finished dataset at `uri`. Raises DatasetError if there is none."""
    location = locate(uri)
    return Dataset(location=location, manifest=read_manifest(location))
