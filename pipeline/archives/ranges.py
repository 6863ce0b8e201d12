"""Bytes of a file by range, wherever it lies: on any `pyarrow.fs` filesystem, or on a web server that gives ranges.

A web server is asked through the same layer as pages are, with its guard, its pace and its bounds.
"""

import asyncio
import io
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from pyarrow import fs

from pipeline.door import Fetched, FetchError
from pipeline.fetch import FetchConfig, Fetcher, open_fetcher
from shards.errors import DatasetError
from shards.location import locate

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")
READ_AHEAD = 8 * 2**20
"""Bytes asked for at once where a file on a web server is read from its beginning to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How files on web servers are reached."""

    fetch: FetchConfig
    allow_network: str
    """Networks that are not public and may be reached all the same."""


def is_web(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


class Ranges:
    """Gives bytes by range; made by `open_ranges`, used on one event loop."""

    def __init__(self, fetcher: Fetcher, files: ExitStack) -> None:
        self._fetcher = fetcher
        self._stack = files
        # NativeFile, whose stub gives read_at no parameters.
        self._files = dict[str, Any]()

    async def read(self, uri: str, offset: int, length: int) -> bytes:
        """The bytes of the file at `uri` from `offset` on, `length` of them, fewer at its end.

        Raises FetchError: the reasons of the network for a web server, `archive_unreadable` elsewhere.
        """
        if is_web(uri) and uri not in self._files:
            return (await self._fetcher.fetch_range(uri, offset, length)).data
        try:
            return await asyncio.to_thread(self._open(uri).read_at, length, offset)
        except OSError as error:
            raise FetchError("archive_unreadable") from error

    def replace(self, uri: str, copy: str) -> None:
        """Reads the local file `copy` from now on where `uri` is asked for."""
        self._files[uri] = self._stack.enter_context(fs.LocalFileSystem().open_input_file(copy))

    async def size(self, uri: str) -> int:
        """The length of the file at `uri` in bytes. Raises FetchError, or DatasetError where there is no file."""
        return _total(await self._fetcher.fetch_range(uri, 0, 1)) if is_web(uri) else locate(uri).size()

    def _open(self, uri: str) -> Any:
        if uri not in self._files:
            location = locate(uri)
            self._files[uri] = self._stack.enter_context(location.filesystem.open_input_file(location.path))
        return self._files[uri]


def _total(answer: Fetched) -> int:
    """The length of the whole of which `answer` is a part (RFC 9110, section 14.4). Raises FetchError."""
    said = next((value for name, value in answer.headers if name.lower() == "content-range"), "")
    total = said.rpartition("/")[2]
    if not total.isdecimal():
        raise FetchError("no_range")
    return int(total)


@asynccontextmanager
async def open_ranges(access: Access) -> AsyncGenerator[Ranges]:
    with ExitStack() as files:
        async with open_fetcher(access.fetch, access.allow_network) as fetcher:
            yield Ranges(fetcher, files)


@contextmanager
def open_file(uri: str, access: Access, read_ahead: int = READ_AHEAD) -> Generator[IO[bytes]]:
    """The file at `uri` to read and seek in, for work that is not asynchronous.

    From a web server at least `read_ahead` bytes are asked for at once. Raises DatasetError, also while it is read.
    """
    if not is_web(uri):
        location = locate(uri)
        location.size()
        with location.filesystem.open_input_file(location.path) as file:
            yield cast(IO[bytes], file)
        return
    with asyncio.Runner() as runner:
        opening = open_ranges(access)
        ranges = runner.run(opening.__aenter__())
        try:
            file = _WebFile(runner, ranges, uri)
            yield io.BufferedReader(file, read_ahead) if read_ahead else cast(IO[bytes], file)
        finally:
            runner.run(opening.__aexit__(None, None, None))


class _WebFile(io.RawIOBase):
    """A file on a web server, read by ranges on an event loop of its own."""

    def __init__(self, runner: asyncio.Runner, ranges: Ranges, uri: str) -> None:
        super().__init__()
        self._runner = runner
        self._ranges = ranges
        self._uri = uri
        self._position = 0
        self._size = self._run(ranges.size(uri))

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(asked)
        except FetchError as error:
            raise DatasetError(f"{self._uri} cannot be read: {error.reason}") from error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self._size - self._position))
        data = self._run(self._ranges.read(self._uri, self._position, length)) if length else b""
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
