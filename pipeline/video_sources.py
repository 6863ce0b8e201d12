"""How the videos of an input are listed on the driver, and read in a task: chunk items, which are plain JSON values.

a folder or a list    [path, caption, {suffix: path of a text}], an item each
tar files             [tar, first byte, number of samples], an item for a chunk, and a note if the tar is cut
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from pyarrow import fs

from jobs.command import InputError
from jobs.connect import connect
from pipeline.addresses import canonical
from pipeline.chunks import Chunk, cut, name_chunks
from pipeline.inputs.video_sets import SUFFIXES, Video, videos_of_folder, videos_of_list
from pipeline.inputs.video_tars import find_tars, index_tar, read_samples
from shards.location import Location, locate


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoListing:
    """The videos of an input, cut into chunks."""

    chunks: list[Chunk]
    videos: int
    """How many there are, also of those that a limit leaves out."""
    asks_network: bool
    """Whether some of them, or of their texts, lie on the web."""


def list_videos(
    place: Location, *, path_col: str, caption_col: str, subtitles_col: str, limit: int | None, size: int
) -> VideoListing:
    """The videos that `place` holds, in a fixed order, `size` a chunk. Tar files are indexed by tasks of Ray.

    Raises InputError if there is none, or a list or a tar cannot be read.
    """
    if tars := find_tars(place):
        runs = _index_tars(tars, size)
        chunks = name_chunks([run] for run in _first_samples(runs, limit))
        return VideoListing(chunks=chunks, videos=sum(run[2] for run in runs), asks_network=False)
    if place.filesystem.get_file_info(place.path).type == fs.FileType.Directory:
        videos = videos_of_folder(place)
    else:
        videos = videos_of_list(place, path_col, caption_col, subtitles_col)
    if not videos:
        raise InputError(f"input {place} holds no video; wanted are files that end in {', '.join(SUFFIXES)}, or .tar")
    asks = any(canonical(path) for video in videos for path in (video[0], *video[2].values()))
    return VideoListing(chunks=cut(videos[:limit], size), videos=len(videos), asks_network=asks)


def videos_of_chunk(chunk: Chunk, scratch: Path) -> Iterator[Video]:
    """The videos of a chunk that are asked for; those of a tar are copied into the folder `scratch`."""
    return chunk.asked(_read(chunk.items, scratch))


def notes_of_chunk(chunk: Chunk) -> list[str]:
    """What is to be said of its tar file."""
    return [note for _, place, _, *notes in chunk.items if isinstance(place, int) for note in notes if note]


def _read(items: Sequence[Any], scratch: Path) -> Iterator[Video]:
    for first, second, third, *_ in items:
        if isinstance(second, int):
            yield from read_samples(locate(first), second, third, scratch)
        else:
            yield Video(name=first, caption=second, sidecars=third)


def _index_tars(files: Sequence[Location], size: int) -> list[list[Any]]:
    """The runs of samples of all `files`, indexed by tasks of Ray. Raises InputError if one cannot be read."""
    connect()
    index = ray.remote(_index).options(num_cpus=1)
    runs = list[list[Any]]()
    for found in ray.get([index.remote(file, size) for file in files]):
        if isinstance(found, str):
            raise InputError(found)
        runs += found
    return runs


def _first_samples(runs: Sequence[list[Any]], limit: int | None) -> Iterator[list[Any]]:
    """The runs that hold the first `limit` samples, the last of them cut short."""
    room = sum(run[2] for run in runs) if limit is None else limit
    for file, offset, number, *note in runs:
        if room > 0:
            yield [file, offset, min(room, number), *note]
        room -= number


def _index(file: Location, size: int) -> list[list[Any]] | str:
    try:
        return index_tar(file, size)
    except InputError as error:
        return str(error)
