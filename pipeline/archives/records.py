"""The records of a WARC or ARC archive in order, each with the bytes at which it can be read again, alone.

warcio reads the header lines. What it does not do is done here: zstd, an archive compressed in one piece, ARC
version 2, header lines without end, and going on behind a broken record.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TypeVar, cast

from warcio.limitreader import LimitReader
from warcio.statusandheaders import StatusAndHeaders, StatusAndHeadersParser, StatusAndHeadersParserException

from pipeline.archives.members import BLOCK, Compression, DamagedError, Member, read_members

T = TypeVar("T")
BEGINNING = re.compile(
    rb"WARC/\d|(?:filedesc|https?|ftp|dns|whois|gopher|mailto|news):\S.* \d+\.\d+\.\d+\.\d+ (?:\d{8,14}|null) "
)
"""How the first line of a record begins: the version of a WARC, or the address, machine and date of an ARC."""
MOST_LINE_BYTES = 65536
MOST_HEAD_BYTES = 1_048_576
"""All header lines of a record, or of the HTTP answer in it."""
EMPTY_LINE = re.compile(rb"\n\s*\n\Z")
ARC_LINE = re.compile(r"(?P<url>\S.*) \d+\.\d+\.\d+\.\d+ (?:\d{8,14}|null) (?P<type>\S*).* (?P<length>\d+)")
"""What an ARC says of a record: address, machine, date, type, in version 2 five fields more, and the length."""
MOST_ARC_LINE_BYTES = 8192


class UnalignedError(Exception):
    """Compressed members do not hold one record each, so that none can be read alone."""


class CutError(DamagedError):
    """What a record begins with is good, and its end is not there."""


@dataclass(slots=True, kw_only=True)
class Record:
    """A record whose header was read and whose block was not."""

    kind: str
    """`response`, `resource`, `revisit`, ... (WARC 1.1, section 5.5); what an ARC holds counts as `response`."""
    url: str
    """As it is written, without the brackets that wget puts around it."""
    headers: StatusAndHeaders
    block: LimitReader

    @property
    def is_answer(self) -> bool:
        """Whether its block begins with the header of an HTTP answer."""
        return self.kind in ("response", "revisit")

    def read_http_head(self) -> StatusAndHeaders | None:
        """The status and header fields of the HTTP answer that the block begins with; None if it begins otherwise."""
        head = read_head(self.block)
        if not head.startswith(b"HTTP/"):
            return None
        return StatusAndHeadersParser([], verify=False).parse(io.BytesIO(head))


def read_record(stream: IO[bytes]) -> Record:
    """The record at which `stream` stands. Raises DamagedError if that is none, EOFError if nothing follows."""
    line = stream.readline(MOST_LINE_BYTES)
    while line and not line.strip():
        line = stream.readline(MOST_LINE_BYTES)
    if not line:
        raise EOFError
    return _read_record(line, stream)


def _read_record(line: bytes, stream: IO[bytes]) -> Record:
    if not BEGINNING.match(line):
        raise DamagedError(f"no record begins with {line[:60]!r}")
    return _warc_record(line, stream) if line.startswith(b"WARC/") else _arc_record(line, stream)


def _warc_record(line: bytes, stream: IO[bytes]) -> Record:
    head = line + read_head(stream)
    if not EMPTY_LINE.search(head):
        raise CutError("header lines without end")
    try:
        headers = StatusAndHeadersParser(["WARC/"]).parse(io.BytesIO(head))
    except StatusAndHeadersParserException as error:
        raise DamagedError(f"a header cannot be read: {error}") from None
    kind = headers.get_header("WARC-Type") or "unknown"
    url = (headers.get_header("WARC-Target-URI") or "").removeprefix("<").removesuffix(">").replace(" ", "%20")
    return Record(kind=kind, url=url, headers=headers, block=_block(stream, headers.get_header("Content-Length"), kind))


def _arc_record(line: bytes, stream: IO[bytes]) -> Record:
    """The record of an ARC, version 1 or 2: its only header is the line that it begins with."""
    fields = ARC_LINE.fullmatch(line[:MOST_ARC_LINE_BYTES].decode("utf-8", "replace").strip())
    if fields is None:
        raise DamagedError(f"no record begins with {line[:60]!r}")
    kind = "warcinfo" if fields["url"].startswith("filedesc://") else "response"
    headers = StatusAndHeaders("", [("Content-Type", fields["type"])], protocol="ARC")
    block = _block(stream, fields["length"], kind)
    return Record(kind=kind, url=fields["url"].replace(" ", "%20"), headers=headers, block=block)


def _block(stream: IO[bytes], length: str | None, kind: str) -> LimitReader:
    if not length or not re.fullmatch(r"[0-9]{1,15}", length.strip()):
        raise DamagedError(f"a {kind} has the length {length!r}")
    return LimitReader(stream, int(length))


def read_head(stream: IO[bytes] | LimitReader) -> bytes:
    """The lines up to the first empty one. Raises DamagedError if they are too many."""
    lines, size = list[bytes](), 0
    while line := stream.readline(MOST_LINE_BYTES):
        lines.append(line)
        size += len(line)
        if size > MOST_HEAD_BYTES:
            raise DamagedError(f"header lines of more than {MOST_HEAD_BYTES} bytes")
        if not line.strip():
            break
    return b"".join(lines)


def scan(
    file: IO[bytes], compression: Compression, describe: Callable[[Record], T], damages: list[str]
) -> Iterator[tuple[T, int, int]]:
    """What `describe` makes of each whole record, with its first byte and its length in `file`.

    Places where the archive is cut or broken are described in `damages`; whole records behind them are read.
    Raises UnalignedError if `file` must be laid out plain first.
    """
    if compression.name == "plain":
        file.seek(0)
        stream = io.BufferedReader(cast(io.RawIOBase, file), BLOCK)
        try:
            yield from _scan_plain(cast(IO[bytes], stream), describe, damages)
        finally:
            stream.detach()  # or it would close `file`
        return
    for member in read_members(file, compression):
        try:
            described = _scan_member(member, member.offset == compression.start, describe)
        except DamagedError as error:
            damages.append(f"at byte {member.offset}: {error}")
        except EOFError:
            continue
        else:
            yield described, member.offset, member.length


def _scan_member(member: Member, first: bool, describe: Callable[[Record], T]) -> T:
    """What `describe` makes of the one record in `member`. Raises EOFError if there is none."""
    stream = io.BufferedReader(member, BLOCK)
    try:
        record = read_record(stream)
        described = describe(record)
        _skip(record)
    except CutError:
        member.skip()
        if first:
            raise UnalignedError from None
        raise
    rest = b""
    while len(rest) < BLOCK and (piece := stream.read1(BLOCK)):
        rest = (rest + piece).lstrip()
        if BEGINNING.match(rest):
            raise UnalignedError
    member.skip()
    return described


def _scan_plain(stream: IO[bytes], describe: Callable[[Record], T], damages: list[str]) -> Iterator[tuple[T, int, int]]:
    lost = False
    while line := stream.readline(MOST_LINE_BYTES):
        if not line.strip() or (lost and not BEGINNING.match(line)):
            continue
        offset = stream.tell() - len(line)
        try:
            record = _read_record(line, stream)
            described = describe(record)
            _skip(record)
            lost = False
            yield described, offset, stream.tell() - offset
        except DamagedError as error:
            damages.append(f"at byte {offset}: {error}")
            lost = True


def _skip(record: Record) -> None:
    """Reads the rest of the block of `record`. Raises CutError."""
    while record.block.read(BLOCK):
        pass
    if record.block.limit:
        raise CutError(f"the {record.kind} has {record.block.limit} bytes too few")
