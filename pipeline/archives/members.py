"""The compressed members of an archive, one after the other, in bounded memory: what comes out is asked for in pieces.

Archives compress each record by itself, so that it can be read alone: as a gzip member (WARC 1.1, annex D), or as a
zstd frame, at times with a dictionary in front of all (IIPC, "Zstandard WARC").
"""

import io
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 65536
"""Bytes read from the file at once."""
GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"
DICTIONARY = b"\x5d\x2a\x4d\x18"
"""Begins the skippable frame that holds the dictionary of a zstd archive."""
MOST_DICTIONARY = 16 * 2**20
"""Bytes of the largest dictionary that is read."""
MOST_DAMAGES = 100
"""Places at which reading is taken up again; behind that many it ends."""
MOST_PLAIN = 64 * 2**30
"""Bytes of an archive that is compressed in one piece, and has to be decompressed whole before it can be read."""


class DamagedError(ValueError):
    """An archive is cut or broken at a place; the message is a note for a person."""


class Decompressor(Protocol):
    """What `bz2`, `lzma` and `compression.zstd` all have."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class GzipDecompressor:
    """A gzip member, by the interface that Python's other decompressors share."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How an archive is compressed."""

    name: Literal["plain", "gzip", "zstd"]
    start: int = 0
    """Where its first record begins, in bytes."""
    dictionary: zstd.ZstdDict | None = None

    @property
    def magic(self) -> bytes:
        return {"plain": b"", "gzip": GZIP, "zstd": ZSTD}[self.name]

    def decompressor(self) -> Decompressor:
        return GzipDecompressor() if self.name == "gzip" else zstd.ZstdDecompressor(self.dictionary)


def compression_of(file: IO[bytes]) -> Compression:
    """How `file` is compressed, by its first bytes. Raises DamagedError if its dictionary cannot be read."""
    file.seek(0)
    head = file.read(8)
    if head.startswith(GZIP):
        return Compression(name="gzip")
    if head.startswith(ZSTD):
        return Compression(name="zstd")
    if head.startswith(DICTIONARY) and len(head) == 8:
        size = struct.unpack("<I", head[4:])[0]
        return Compression(name="zstd", start=8 + size, dictionary=_read_dictionary(file, size))
    return Compression(name="plain")


def _read_dictionary(file: IO[bytes], size: int) -> zstd.ZstdDict:
    """The dictionary in the skippable frame at the start; it may be compressed itself."""
    data = file.read(min(size, MOST_DICTIONARY))
    try:
        if data.startswith(ZSTD):
            data = zstd.ZstdDecompressor().decompress(data, MOST_DICTIONARY)
        return zstd.ZstdDict(data)
    except (zstd.ZstdError, ValueError) as error:
        raise DamagedError(f"the dictionary of {size} bytes at its start cannot be read: {error}") from None


class Member(io.RawIOBase):
    """What one compressed member holds, as a file that can only be read forwards."""

    def __init__(self, offset: int, decompressor: Decompressor, file: IO[bytes], pending: bytes) -> None:
        super().__init__()
        self.offset = offset
        """Where it begins in the archive, in bytes."""
        self._decompressor = decompressor
        self._file = file
        self._pending = pending
        self._given = 0
        self._damage = ""

    @property
    def length(self) -> int:
        """Its bytes in the archive, once it has been read to its end."""
        return self._given - len(self.unused)

    @property
    def unused(self) -> bytes:
        """What was read of the file behind this member's end."""
        return self._decompressor.unused_data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._decompress(len(view))
        view[: len(data)] = data
        return len(data)

    def skip(self) -> None:
        """Reads to the end of the member. Raises DamagedError."""
        while self._decompress(BLOCK):
            pass

    def _decompress(self, size: int) -> bytes:
        while not self._decompressor.eof:
            if self._damage:
                raise DamagedError(self._damage)
            hungry = self._decompressor.needs_input
            piece, self._pending = (self._pending or self._file.read(BLOCK), b"") if hungry else (b"", self._pending)
            self._given += len(piece)
            try:
                data = self._decompressor.decompress(piece, size)
            except (zlib.error, zstd.ZstdError) as error:
                self._damage = f"the compressed record at byte {self.offset} is broken: {error}"
                continue
            if data:
                return data
            if hungry and not piece:
                self._damage = f"the compressed record at byte {self.offset} has no end"
        return b""


def decompressed(data: bytes, compression: Compression) -> IO[bytes]:
    """What the member, or the plain record, in `data` holds, to be read forwards."""
    file = io.BytesIO(data)
    if compression.name == "plain":
        return file
    return io.BufferedReader(Member(0, compression.decompressor(), file, b""), BLOCK)


def read_members(file: IO[bytes], compression: Compression) -> Iterator[Member]:
    """The members of `file` in order; behind a broken one, from the next place on that looks like a beginning."""
    file.seek(compression.start)
    offset, pending, damages = compression.start, file.read(BLOCK), 0
    while pending and damages < MOST_DAMAGES:
        member = Member(offset, compression.decompressor(), file, pending)
        yield member
        try:
            member.skip()
            offset, pending = offset + member.length, member.unused or file.read(BLOCK)
        except DamagedError:
            damages += 1
            offset, pending = _find(file, offset + 1, compression.magic)


def _find(file: IO[bytes], offset: int, magic: bytes) -> tuple[int, bytes]:
    """Where `magic` stands next in `file`, from `offset` on, and what was read from there; nothing at the end."""
    file.seek(offset)
    held = b""
    while piece := file.read(BLOCK):
        held += piece
        place = held.find(magic)
        if place >= 0:
            return offset + place, held[place:]
        offset, held = offset + len(held) - len(magic) + 1, held[-len(magic) + 1 :]
    return offset, b""


def lay_out_plain(file: IO[bytes], compression: Compression, plain: IO[bytes], damages: list[str]) -> None:
    """Decompresses `file` into `plain` up to its end, or to its first damage, which is put into `damages`."""
    try:
        for member in read_members(file, compression):
            while piece := member.read(BLOCK):
                plain.write(piece)
                if plain.tell() > MOST_PLAIN:
                    raise DamagedError(f"behind {MOST_PLAIN} decompressed bytes it was not read on")
    except DamagedError as error:
        damages.append(str(error))
