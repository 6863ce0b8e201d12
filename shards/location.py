"""Where bytes lie: one type for local paths, `s3://` and `gs://` addresses, and writes that are whole or absent."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from pyarrow import fs

from shards.errors import DatasetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A path on one `pyarrow.fs` filesystem."""

    filesystem: fs.FileSystem
    path: str

    def __truediv__(self, name: str) -> "Location":
        return Location(filesystem=self.filesystem, path=f"{self.path.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.path if self.is_local else f"{self.filesystem.type_name}://{self.path}"

    @property
    def is_local(self) -> bool:
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def exists(self) -> bool:
        return self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound

    def size(self) -> int:
        """Its length in bytes. Raises DatasetError if it is not a file."""
        info = self.filesystem.get_file_info(self.path)
        if info.type != fs.FileType.File:
            raise DatasetError(f"{self} does not exist or is not a file")
        return info.size

    def files(self) -> list[str]:
        """The names of the files in this folder, sorted; empty if the folder does not exist."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def read(self) -> bytes:
        """All of its bytes. Raises DatasetError if it is not there."""
        try:
            with self.filesystem.open_input_stream(self.path, compression=None) as stream:
                return stream.read()
        except OSError as error:
            raise DatasetError(f"{self} cannot be read: {error}") from None

    def write(self, data: bytes) -> None:
        """Puts `data` here, whole or not at all."""
        with self.written_whole() as temporary:
            temporary.write_bytes(data)

    @contextmanager
    def written_whole(self) -> Generator[Path]:
        """Lends a local path to write to, and puts it here when the block ends without an exception.

        On a local disk that is an fsync and a rename. An object store gets one put of finished bytes, because
        an exception inside `open_output_stream` publishes the part that was written.
        """
        if self.is_local:
            target = Path(self.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
            try:
                yield temporary
                _flush_to_disk(temporary)
                temporary.replace(target)
                _flush_to_disk(target.parent)
            finally:
                temporary.unlink(missing_ok=True)
        else:
            with TemporaryDirectory() as folder:
                temporary = Path(folder, self.name)
                yield temporary
                fs.copy_files(str(temporary), self.path, destination_filesystem=self.filesystem)


def locate(uri: str) -> Location:
    """The location that `uri` names: a local path, or an address of any `pyarrow.fs` filesystem.

    Raises DatasetError if the address has a scheme that `pyarrow.fs` does not know.
    """
    if "://" not in uri:
        return Location(filesystem=fs.LocalFileSystem(), path=os.path.abspath(uri))
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        raise DatasetError(f"{uri} is not an address that pyarrow.fs can open: {error}") from None
    return Location(filesystem=filesystem, path=path)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
