"""The tar of a shard: plain files under safe names, written in one form, and nothing else is read.

A member is a header of 512 bytes (POSIX ustar), its bytes, and zeros up to the next multiple of 512; two blocks of
zeros end the tar. A document is the run of members with one key, its JSON first. What another tar may hold beside that
(links, devices, folders, extended headers, other names) is refused, never followed: nothing is unpacked, and no
member is a pickle.
"""

import itertools
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from shards.errors import DatasetError

BLOCK = tarfile.BLOCKSIZE
TAR_END = bytes(2 * BLOCK)
MEMBER = re.compile(r"([0-9A-Za-z]{1,64})\.(?:json|(?:0|[1-9][0-9]{0,8})\.(?:jpg|png|webp))")
"""The names that members may have: a key, then `json`, or a frame's number and its format."""
KEY = re.compile(r"[0-9A-Za-z]{1,64}")


class Readable(Protocol):
    """What gives its next bytes, fewer than asked for only where it ends."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The members of one document as they lie in a tar."""

    key: str
    offset: int
    """Of the first header, in bytes."""
    size: int
    """Of all members with headers and padding, in bytes."""
    members: dict[str, bytes]
    """By name, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    key: str
    name: str
    data: bytes
    offset: int
    """Of its header."""
    end: int
    """Where the next member's header begins."""


def append_members(file: IO[bytes], members: Iterable[tuple[str, bytes]]) -> int:
    """Writes `members`; returns how many bytes they take."""
    start = file.tell()
    for name, data in members:
        header = tarfile.TarInfo(name)  # its time and owner are 0, its mode 644
        header.size = len(data)
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.write(data)
        file.write(bytes(-len(data) % BLOCK))
    return file.tell() - start


def read_runs(stream: Readable, size: int, where: str, *, ended: bool) -> Iterator[Run]:
    """The documents of `stream`, which has `size` bytes and, if `ended`, is a tar with its end.

    Raises DatasetError naming `where` if it is cut, goes on behind its end, or holds anything but members of
    documents, each document in one place.
    """
    seen = set[str]()
    for key, group in itertools.groupby(_members(stream, size, where, ended=ended), key=lambda member: member.key):
        found = list(group)
        members = {member.name: member.data for member in found}
        if key in seen or len(members) < len(found):
            raise DatasetError(f"{where}: key {key} comes twice, again at byte {found[0].offset}")
        seen.add(key)
        yield Run(key=key, offset=found[0].offset, size=found[-1].end - found[0].offset, members=members)


def _members(stream: Readable, size: int, where: str, *, ended: bool) -> Iterator[_Member]:
    offset = 0
    while offset < size:
        header = stream.read(BLOCK)
        if ended and header == bytes(BLOCK):
            _check_end(stream, size - offset, where)
            return
        key, name, length = _parse_header(header, f"{where} at byte {offset}")
        end = offset + BLOCK + length + -length % BLOCK
        if end > size:
            raise DatasetError(f"{where} is cut inside member {name!r}")
        data = stream.read(length)
        stream.read(-length % BLOCK)
        yield _Member(key=key, name=name, data=data, offset=offset, end=end)
        offset = end
    if ended:
        raise DatasetError(f"{where} is cut: it has {size} bytes and no end")


def _parse_header(header: bytes, where: str) -> tuple[str, str, int]:
    """The key, name and length of the member that `header` begins."""
    try:
        member = tarfile.TarInfo.frombuf(header, "ascii", "backslashreplace")
    except tarfile.HeaderError as error:
        raise DatasetError(f"{where} holds no header of a tar: {error}") from None
    match = MEMBER.fullmatch(member.name)
    if member.type != tarfile.REGTYPE or match is None or member.size < 0:
        raise DatasetError(f"{where}: member {member.name!r} is not a plain file of a document")
    return match[1], member.name, member.size


def _check_end(stream: Readable, size: int, where: str) -> None:
    """Raises DatasetError unless `size` bytes, of which one block of zeros was read, are a tar's end."""
    if size != len(TAR_END) or stream.read(BLOCK) != bytes(BLOCK):
        raise DatasetError(f"{where} goes on behind its end, or the end is cut: it has {size} bytes there")
