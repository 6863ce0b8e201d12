"""Bytes from local disks and object stores: what fails is tried again, and a short read is never taken for the end.

A file is read in pieces by their place. How long it is is asked first, so that fewer bytes than there must be are a
failure like any other: the file is opened anew and the piece asked for again, after a pause that doubles.

pyarrow (26.0) does not say that an answer from S3 was short: it counts the bytes that it asked for, and leaves the rest
of the buffer as it was. So a piece is read into memory whose last byte is a mark. Where the mark still stands the piece
is read once more with another mark: what stands there again was short.
"""

import io
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
from pyarrow import fs

from shards.errors import DatasetError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Result = TypeVar("Result")
ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.25
"""Pauses are 0.25, 0.5, ... 4 seconds, each up to half longer or shorter, so that workers do not come back at once."""
PIECE_BYTES = 4 * 1024 * 1024
"""A file that is read in order is asked for in pieces of this size."""
MARKS = (0xA5, 0x5A)
FINAL = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What no second attempt mends."""


def retried(attempt: Callable[[], Result]) -> Result:
    """What `attempt` returns, called again after a pause if it raises an OSError; the last one is the caller's."""
    pause = FIRST_PAUSE_SECONDS
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except FINAL:
            raise
        except OSError:
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause *= 2
    return attempt()


def read_range(filesystem: fs.FileSystem, path: str, offset: int, size: int | None, where: str) -> bytes:
    """`size` bytes of a file from `offset` on, or all the others.

    Raises DatasetError naming `where` if it cannot be read or ends before.
    """

    def attempt() -> bytes:
        with filesystem.open_input_file(path) as file:
            length = file.size() - offset if size is None else size
            if offset + length > file.size():
                raise DatasetError(f"{where} is cut: it has {file.size()} bytes, and {offset + length} are named")
            data = bytearray(length)
            _fill(file, offset, memoryview(data))
            return bytes(data)

    try:
        return retried(attempt)
    except OSError as error:
        raise DatasetError(f"{where} cannot be read: {error}") from None


class PieceStream(io.BufferedReader):
    """A file as a buffered stream of bytes, which asks again for a piece that fails, and can be sought."""

    def __init__(self, filesystem: fs.FileSystem, path: str, where: str) -> None:
        """Raises DatasetError naming `where` if there is no such file, and later if it can no longer be read."""
        pieces = _Pieces(filesystem, path, where)
        super().__init__(pieces, PIECE_BYTES)
        self.size = pieces.size
        """Of the file, in bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; memory is taken for those that there are, whatever size a broken header asks for."""
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


class _Pieces(io.RawIOBase):
    def __init__(self, filesystem: fs.FileSystem, path: str, where: str) -> None:
        self._filesystem, self._path, self._where = filesystem, path, where
        self._position = 0
        self._file = self._retried(self._open)
        self.size = self._file.size()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), max(0, self.size - self._position))
        self._retried(lambda: self._read(view[:length]))
        self._position += length
        return length

    def close(self) -> None:
        self._file.close()
        super().close()

    def _retried(self, attempt: Callable[[], Result]) -> Result:
        try:
            return retried(attempt)
        except OSError as error:
            raise DatasetError(f"{self._where} cannot be read: {error}") from None

    def _open(self) -> pa.NativeFile:
        return self._filesystem.open_input_file(self._path)

    def _read(self, view: memoryview) -> None:
        if self._file.closed:
            self._file = self._open()
        try:
            _fill(self._file, self._position, view)
        except OSError:
            self._file.close()
            raise


def _fill(file: pa.NativeFile, offset: int, view: memoryview) -> None:
    """Fills `view` with the bytes from `offset` on. Raises OSError if these are not all bytes that there have to be."""
    if not view:
        return
    for mark in MARKS:
        view[-1] = mark
        file.seek(offset)
        if file.readinto(view) == len(view) and view[-1] != mark:
            return
    raise OSError(f"fewer than {len(view)} bytes came from byte {offset} on")
