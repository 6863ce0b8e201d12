"""Reading a dataset: its manifest, its index as one table, its documents in order or one by one."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from shards.document import Document
from shards.errors import DatasetError
from shards.location import Location, locate
from shards.manifest import Manifest, read_manifest
from shards.shard import INDEX_SCHEMA, ShardRecord, read_document, read_shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A folder of shards and the manifest that names them."""

    location: Location
    manifest: Manifest

    def index(self) -> pa.Table:
        """A row a document, in order: `shard` and the columns of `shards.shard.INDEX_SCHEMA`.

        Raises DatasetError if an index is missing or disagrees with the manifest on how many documents there are.
        """
        tables = [self._shard_index(shard) for shard in self.manifest.shards]
        return pa.concat_tables(tables) if tables else _with_shard(INDEX_SCHEMA.empty_table(), "")

    def documents(self) -> Iterator[Document]:
        """All documents in the order of the manifest.

        Raises DatasetError if a shard is missing, is longer or shorter than the manifest says, or holds another
        number of documents.
        """
        for shard in self.manifest.shards:
            number = 0
            for document in read_shard(self._tar(shard)):
                number += 1
                yield document
            if number != shard.documents:
                raise DatasetError(
                    f"{self.location / shard.name}.tar holds {number} documents and the manifest says {shard.documents}"
                )

    def read(self, shard: str, offset: int, size: int) -> Document:
        """The document whose members begin `offset` bytes into the tar of `shard` and take `size` bytes."""
        tar = self.location / f"{shard}.tar"
        where = f"{tar} at byte {offset}"
        try:
            with tar.filesystem.open_input_file(tar.path) as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise DatasetError(f"{where} cannot be read: {error}") from None
        if len(data) != size:
            raise DatasetError(f"{where} gave {len(data)} of {size} bytes: the shard is cut")
        return read_document(data, where)

    def _shard_index(self, shard: ShardRecord) -> pa.Table:
        location = self.location / f"{shard.name}.parquet"
        try:
            with location.filesystem.open_input_file(location.path) as file:
                table = pq.ParquetFile(file).read()  # pyright: ignore[reportUnknownMemberType] (the stubs lack a type)
        except (OSError, pa.ArrowInvalid) as error:
            raise DatasetError(f"{location} cannot be read: {error}") from None
        if table.num_rows != shard.documents:
            raise DatasetError(
                f"{location} has {table.num_rows} rows and the manifest says {shard.documents} documents"
            )
        return _with_shard(table, shard.name)

    def _tar(self, shard: ShardRecord) -> Location:
        tar = self.location / f"{shard.name}.tar"
        if tar.size() != shard.bytes:
            raise DatasetError(
                f"{tar} has {tar.size()} bytes and the manifest says {shard.bytes}: make the dataset again"
            )
        return tar


def _with_shard(table: pa.Table, name: str) -> pa.Table:
    names = pa.array([name] * table.num_rows, pa.string())
    return table.add_column(0, pa.field("shard", pa.string(), nullable=False), names)


def open_dataset(uri: str) -> Dataset:
    """The finished dataset at `uri`. Raises DatasetError if there is none."""
    location = locate(uri)
    return Dataset(location=location, manifest=read_manifest(location))
