"""Sets of videos in tar files, as img2dataset and video2dataset write them (webdataset's layout).

Members that follow on each other and have one key are a video and what comes with it: 00001.mp4, 00001.txt, 00001.json.
A file is indexed by its headers, cut into runs of samples, and each run read from its first byte on.
"""

import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pyarrow import fs

from jobs.command import InputError
from pipeline.inputs import video_texts
from pipeline.inputs.video_sets import SUFFIXES, Video, split_name
from shards.location import Location

PIECE = 1 << 20
MOST_PIECES = 10
"""Of a text so many are read."""


def find_tars(place: Location) -> list[Location]:
    """The tar files that `place` is or holds, by name."""
    if place.filesystem.get_file_info(place.path).type == fs.FileType.Directory:
        return [place / name for name in place.files() if name.endswith(".tar")]
    return [place] if place.name.endswith(".tar") else []


def index_tar(file: Location, size: int) -> list[list[Any]]:
    """A chunk item for each run of `size` samples of `file`: the file, where the run starts in bytes, and its length.

    The last item of a tar that is cut ends with a note of it. Raises InputError if nothing of `file` can be read.
    """
    runs, samples, key, note = list[list[Any]](), 0, None, ""
    try:
        with file.filesystem.open_input_file(file.path) as source, _opened(source, "r:") as archive:
            for member in filter(_is_plain, archive):
                if split_name(member.name)[0] != key:
                    key = split_name(member.name)[0]
                    runs += [[str(file), member.offset, 0]] if samples % size == 0 else []
                    runs[-1][2] += 1
                    samples += 1
                if member.offset_data + member.size > source.size():
                    raise tarfile.ReadError("its last member is cut")
    except (tarfile.TarError, OSError) as error:
        note = f"{file} is cut or broken after {samples} samples, the last of them perhaps in part: {error}"
        if not runs:
            raise InputError(f"{file} cannot be read as a tar file: {error}") from None
    if runs:
        runs[-1].append(note)
    return runs


def read_samples(file: Location, offset: int, number: int, scratch: Path) -> Iterator[Video]:
    """The `number` samples of `file` from the byte `offset` on, the videos copied into the folder `scratch`.

    A member that is cut is left out.
    """
    key, texts, copy, seen = "", dict[str, bytes](), "", 0
    for member, data in _members(file, offset):
        stem, suffix = split_name(member.name)
        if stem != key or not seen:
            if seen:
                yield Video(name=f"{file}#{key}", texts=texts, copy=copy)
            if seen == number:
                return
            key, texts, copy, seen = stem, {}, "", seen + 1
        if f".{suffix}" in SUFFIXES and not copy:
            copy = _copied(data, member.size, scratch / f"{offset}-{seen}.{suffix}")
        elif video_texts.SUFFIX.fullmatch(suffix):
            texts[suffix] = b"".join(itertools.islice(_pieces(data), MOST_PIECES))
    if seen:
        yield Video(name=f"{file}#{key}", texts=texts, copy=copy)


def _members(file: Location, offset: int) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """The regular files of a tar from a byte on, up to a cut."""
    try:
        with file.filesystem.open_input_file(file.path) as source:
            source.seek(offset)
            with _opened(source, "r|") as archive:
                for member in archive:
                    if _is_plain(member) and (data := archive.extractfile(member)):
                        yield member, data
    except tarfile.TarError:
        return


def _opened(source: Any, mode: Any) -> tarfile.TarFile:
    return tarfile.open(fileobj=source, mode=mode)


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether its bytes are in the tar: of a sparse file a few may stand for any number."""
    return member.isreg() and not member.issparse()


def _pieces(data: IO[bytes]) -> Iterator[bytes]:
    """What `data` holds, up to where the tar is cut."""
    try:
        while piece := data.read(PIECE):
            yield piece
    except tarfile.TarError:
        return


def _copied(data: IO[bytes], size: int, path: Path) -> str:
    """The path of a copy of `data`, which has `size` bytes; nothing if it is cut."""
    with path.open("wb") as copy:
        copy.writelines(_pieces(data))
        whole = copy.tell() == size
    if not whole:
        path.unlink()
    return str(path) if whole else ""
