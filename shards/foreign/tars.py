"""Tars of samples, as webdataset's tools write them: members that follow each other with one name before the first dot.

Nothing is unpacked or unpickled. A sample is named by the range of its bytes, so that it can be read alone; tars with
extended headers, folders and other names than ours are read, and what is no plain file is never followed.
"""

import io
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from shards.errors import DatasetError
from shards.foreign.records import BadRecord
from shards.location import Location

DAMAGE = (tarfile.TarError, ValueError, OverflowError)
"""What `tarfile` raises over headers that somebody broke: not only its own errors."""
MOST_PART_BYTES = 100_000_000
"""Of one member; a larger one is no picture and no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The members of a tar that have one name."""

    name: str
    """With the folder in the tar, if there is one."""
    parts: dict[str, bytes]
    """By what follows the first dot of their names, in lower case."""


def sample_places(file: Location) -> Iterator[tuple[int, int]]:
    """Where each sample of the tar `file` begins, and its size, in bytes. Raises DatasetError if the tar is cut."""
    with file.open() as stream, _opened(stream, str(file)) as tar:
        begin, end, name = 0, 0, ""
        suffixes: set[str] = set()
        while member := _next(tar, str(file)):
            stem, suffix = split_name(member.name)
            if member.isdir():
                continue
            if suffixes and (stem != name or suffix in suffixes):  # as OpenFlamingo: a suffix again is another sample
                yield begin, end - begin
                suffixes.clear()
            begin = begin if suffixes else member.offset
            end, name = tar.offset, stem
            suffixes.add(suffix)
        if suffixes:
            yield begin, end - begin
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise DatasetError(f"{file} is cut or broken at byte {tar.offset}, where it has to end or go on")


def read_sample(file: Location, offset: int, size: int) -> Sample:
    """The sample at that place of `file`. Raises BadRecord: `not_a_plain_file`, `part_too_large`, `malformed`."""
    data, parts, name = file.read_range(offset, size), dict[str, bytes](), ""
    try:
        with _opened(io.BytesIO(data), str(file)) as tar:
            for member in tar:
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise BadRecord("not_a_plain_file")
                if member.size > MOST_PART_BYTES:
                    raise BadRecord("part_too_large")
                name, suffix = split_name(member.name)
                content = tar.extractfile(member)
                parts[suffix] = content.read() if content else b""
    except DAMAGE:
        raise BadRecord("malformed") from None
    return Sample(name=name, parts=parts)


def split_name(member: str) -> tuple[str, str]:
    """The name that the parts of a sample share, and a part's suffix: what follows the first dot (webdataset)."""
    folder, base = posixpath.split(member)
    stem, _, suffix = base.partition(".")
    return posixpath.join(folder, stem), suffix.lower()


def _opened(stream: IO[bytes], where: str) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r:")
    except DatasetError:
        raise
    except DAMAGE as error:
        raise DatasetError(f"{where} cannot be read as a tar: {error}") from None


def _next(tar: Any, where: str) -> tarfile.TarInfo | None:
    """The next member, or None at the end; the members before are forgotten, of which there may be millions."""
    try:
        member = tar.next()
    except DatasetError:
        raise
    except DAMAGE as error:
        raise DatasetError(f"{where} is cut or broken at byte {tar.offset}: {error}") from None
    tar.members.clear()
    return member
