"""Where bytes lie: one type for local paths, `s3://` and `gs://` addresses, and writes that are whole or absent."""

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from shards.errors import DatasetError, NoRoomError
from shards.reading import PIECE_BYTES, PieceStream, read_range, retried

Answer = TypeVar("Answer")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room on the device, no more of a quota, a file too large."""


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
        return self._asked(lambda: self.filesystem.get_file_info(self.path)).type != fs.FileType.NotFound

    def size(self) -> int:
        """Its length in bytes. Raises DatasetError if it is not a file."""
        info = self._asked(lambda: self.filesystem.get_file_info(self.path))
        if info.type != fs.FileType.File:
            raise DatasetError(f"{self} does not exist or is not a file")
        return info.size

    def files(self) -> list[str]:
        """The names of the files in this folder, sorted; empty if the folder does not exist."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        found = self._asked(lambda: self.filesystem.get_file_info(selector))
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def folders(self) -> list[str]:
        """The names of the folders in this folder, sorted; empty if it does not exist."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        found = self._asked(lambda: self.filesystem.get_file_info(selector))
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def read(self) -> bytes:
        """All of its bytes. Raises DatasetError if it is not there or cannot be read."""
        return read_range(self.filesystem, self.path, 0, None, str(self))

    def read_range(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on. Raises DatasetError if it ends before, is not there or cannot be read."""
        return read_range(self.filesystem, self.path, offset, size, str(self))

    def open(self) -> PieceStream:
        """Its bytes from the first on; a context manager. Raises DatasetError if it is not there."""
        return PieceStream(self.filesystem, self.path, str(self))

    def sha256(self) -> str:
        """Of its bytes. Raises DatasetError if it is not there."""
        digest = hashlib.sha256()
        with self.open() as stream:
            while piece := stream.read(PIECE_BYTES):
                digest.update(piece)
        return digest.hexdigest()

    def delete(self) -> None:
        """Deletes the file that is here; nothing if there is none."""
        if self.exists():
            self.filesystem.delete_file(self.path)

    def delete_folder(self) -> None:
        """Deletes the folder that is here, with all that it holds; nothing if there is none."""
        if self.exists():
            self.filesystem.delete_dir(self.path)

    def write(self, data: bytes) -> None:
        """Puts `data` here, whole or not at all."""
        with self.written_whole() as temporary:
            temporary.write_bytes(data)

    @contextmanager
    def written_whole(self) -> Generator[Path]:
        """Lends a local path to write to, and puts it here when the block ends without an exception.

        On a local disk that is an fsync and a rename. An object store gets one put of finished bytes, because
        an exception inside `open_output_stream` publishes the part that was written. Raises NoRoomError if the
        disk is full, or a file may not be so large.
        """
        with _naming_a_full_disk(self):
            if self.is_local:
                with _beside(Path(self.path)) as temporary:
                    yield temporary
            else:
                with TemporaryDirectory() as folder:
                    temporary = Path(folder, self.name)
                    yield temporary
                    self._put(temporary)

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """Raises DatasetError if the filesystem does not answer, however often it is asked."""
        try:
            return retried(question)
        except OSError as error:
            raise DatasetError(f"{self} cannot be reached: {error}") from None

    def _put(self, file: Path) -> None:
        retried(lambda: fs.copy_files(str(file), self.path, destination_filesystem=self.filesystem))


@contextmanager
def _beside(target: Path) -> Generator[Path]:
    """Lends a file beside `target`, which then takes its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(target)
        _flush_to_disk(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _naming_a_full_disk(target: Location) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoRoomError(error.errno, os.strerror(error.errno), str(target)) from error


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
