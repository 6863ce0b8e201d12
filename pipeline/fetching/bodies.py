"""Bodies as they travel into bodies as they are: gzip, deflate, br and zstd, never more of them than is asked for.

Compressed pieces go in, pieces of about 64 KiB come out, one at a time; whoever reads them stops when it has
enough, so that a bomb costs no more memory than the bound of its reader.
"""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

PIECE = 65_536
MOST_CODINGS = 3
"""Codings that one body may have on top of each other; more make no sense, and each multiplies."""
MOST_RATIO = 200.0
"""Largest ratio of what comes out to what went in; more than any page has (Apache's own bound for what it unpacks)."""
MOST_MEMBERS = 1_000
"""Members of one gzip body or frames of one zstd body; each new one copies what is left of a piece."""
RATIO_FROM = 1_000_000
"""Bytes from which on the ratio counts: a small page of nothing but blanks is no bomb."""
ZSTD_WINDOW_LOG = 23
"""8 MB, the largest window that a body on the web may ask for (RFC 9659)."""


class BodyError(Exception):
    """A body cannot be unpacked; `reason` is a word to count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Coding(Protocol):
    """One stream of one coding, as `zlib`, `brotli` and `zstd` have it, under the same names."""

    def decompress(self, data: bytes) -> bytes:
        """About PIECE bytes at most (brotli: half as many again); what more `data` gives comes with the next calls."""
        ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)
        self.needs_input = True

    def decompress(self, data: bytes) -> bytes:
        piece = self._stream.decompress(self._stream.unconsumed_tail + data, PIECE)
        # A full piece may have more behind it even if all input is consumed: up to 258 bytes wait inside zlib.
        self.needs_input = len(piece) < PIECE
        return piece

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data


class _Deflate(_Zlib):
    """deflate as the standard has it (in zlib's wrapping, RFC 9110, 8.4.1.2), or bare, as some servers send it."""

    def __init__(self) -> None:
        super().__init__(zlib.MAX_WBITS)
        self._beginning: bytes | None = b""

    def decompress(self, data: bytes) -> bytes:
        if self._beginning is None:
            return super().decompress(data)
        self._beginning += data
        if len(self._beginning) < 2:
            return b""
        if not _is_zlib(self._beginning):
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        data, self._beginning = self._beginning, None
        return super().decompress(data)


def _is_zlib(data: bytes) -> bool:
    """Whether `data` begins with a header of RFC 1950, 2.2."""
    return data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0


class _Brotli:
    unused_data = b""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._full = False

    def decompress(self, data: bytes) -> bytes:
        piece = self._stream.process(data, output_buffer_limit=PIECE)
        self._full = len(piece) >= PIECE
        return piece

    @property
    def needs_input(self) -> bool:
        # As with zlib, all input may be consumed and more still come out.
        return self._stream.can_accept_more_data() and not self._full

    @property
    def eof(self) -> bool:
        return self._stream.is_finished()


class _Zstd:
    def __init__(self) -> None:
        self._stream = ZstdDecompressor(options={DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})

    def decompress(self, data: bytes) -> bytes:
        return self._stream.decompress(data, PIECE)

    @property
    def needs_input(self) -> bool:
        return self._stream.needs_input

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data


CODINGS: dict[str, Callable[[], _Coding]] = {
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
ACCEPTED = "gzip, deflate, br, zstd"
"""What a request's Accept-Encoding says."""


class _Layer:
    """One coding of a body, member by member."""

    def __init__(self, name: str) -> None:
        self._open = CODINGS[name]
        self._stream = self._open()
        self._members = 1
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` gives, piece by piece. Raises BodyError."""
        self._begun = self._begun or bool(data)
        while data or not (self._stream.eof or self._stream.needs_input):
            if self._stream.eof and data:
                self._begin_member()
            try:
                yield self._stream.decompress(data)
            except (zlib.error, brotli.error, ZstdError) as error:
                raise BodyError("broken_body") from error
            data = self._stream.unused_data if self._stream.eof else b""

    def _begin_member(self) -> None:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise BodyError("broken_body")
        self._stream = self._open()

    @property
    def whole(self) -> bool:
        return self._stream.eof or not self._begun


class Unpacker:
    """A body under the codings of its Content-Encoding, fed as it arrives."""

    def __init__(self, content_encoding: str, most_ratio: float = MOST_RATIO) -> None:
        """Raises BodyError if a coding is not known, or if there are too many."""
        names = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
        if len(names) > MOST_CODINGS or not CODINGS.keys() >= set(names):
            raise BodyError("unknown_encoding")
        self._layers = [_Layer(name) for name in reversed(names)]
        self._most_ratio = most_ratio
        self._fed = self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` gives, in pieces of about PIECE bytes if it was packed. Raises BodyError.

        Nothing is unpacked ahead of whoever iterates.
        """
        self._fed += len(data)
        for piece in _through(self._layers, data):
            self._given += len(piece)
            if self._given > max(RATIO_FROM, self._most_ratio * self._fed):
                raise BodyError("compression_bomb")
            yield piece

    def finish(self) -> None:
        """Raises BodyError if what was fed is not whole."""
        if not all(layer.whole for layer in self._layers):
            raise BodyError("broken_body")


def _through(layers: Sequence[_Layer], data: bytes) -> Iterator[bytes]:
    if not layers:
        yield data
        return
    for piece in layers[0].feed(data):
        yield from _through(layers[1:], piece)


def unpack(pieces: Iterable[bytes], content_encoding: str, most_bytes: int, most_ratio: float = MOST_RATIO) -> bytes:
    """The body that travelled as `pieces`. Raises BodyError, with the reason `too_large` beyond `most_bytes`."""
    unpacker, body = Unpacker(content_encoding, most_ratio), bytearray()
    for data in pieces:
        for piece in unpacker.feed(data):
            body += piece
            if len(body) > most_bytes:
                raise BodyError("too_large")
    unpacker.finish()
    return bytes(body)
