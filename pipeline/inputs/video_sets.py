"""The videos of an input, each with what comes with it: folders and lists; `video_tars` reads sets in tar files.

a folder      x.mp4, and beside it x.txt, x.json, x.vtt, x.en.vtt, x.srt; also below it
a list        a column with files or addresses, one with captions, one with subtitles
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyarrow import fs

from pipeline.addresses import canonical
from pipeline.inputs import video_texts
from pipeline.inputs.lists import read_rows
from shards.location import Location

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".ogv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A video of the input, not decoded yet, and what comes with it."""

    name: str
    """Its path or address, or that of its tar with its key behind a #; names it in ledgers."""
    caption: str = ""
    sidecars: Mapping[str, str] = field(default_factory=dict[str, str])
    """Paths or addresses of what else says something of it, by suffix: `txt`, `en.vtt`."""
    texts: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """The same, where it was read already."""
    copy: str | None = None
    """A local copy of it, to be deleted once it was decoded; None if it lies where its name says, empty if nowhere."""


def videos_of_folder(folder: Location) -> list[list[Any]]:
    """Chunk items for the videos below `folder`, in the order of their paths: path, caption, sidecars by suffix."""
    selector = fs.FileSelector(folder.path, recursive=True, allow_not_found=True)
    files = [info.path for info in folder.filesystem.get_file_info(selector) if info.type == fs.FileType.File]
    said = dict[str, dict[str, str]]()
    for path in sorted(files):
        stem, suffix = split_name(path)
        said.setdefault(stem, {})[suffix] = str(Location(filesystem=folder.filesystem, path=path))
    videos = sorted(path for path in files if path.lower().endswith(SUFFIXES))
    return [
        [str(Location(filesystem=folder.filesystem, path=path)), "", _beside(path.rpartition(".")[0], said)]
        for path in videos
    ]


def videos_of_list(file: Location, path_col: str, caption_col: str, subtitles_col: str) -> list[list[Any]]:
    """Chunk items for the rows of `file`; what is no address and no absolute path lies relative to the list.

    Raises InputError if the list cannot be read, or lacks one of the columns that are not empty.
    """
    folder = Location(filesystem=file.filesystem, path=file.path.rpartition("/")[0])
    rows = read_rows(file, [name for name in (path_col, caption_col, subtitles_col) if name])
    items = list[list[Any]]()
    for row in rows:
        subtitles = _resolved(row[subtitles_col], folder) if subtitles_col and row[subtitles_col] else ""
        beside = {_suffix_of(subtitles): subtitles} if subtitles else {}
        items.append([_resolved(row[path_col], folder), row[caption_col] if caption_col else "", beside])
    return items


def _suffix_of(path: str) -> str:
    return "srt" if path.lower().endswith(".srt") else "vtt"


def split_name(path: str) -> tuple[str, str]:
    """A path's stem, up to the first point of its last part, and what follows, in lower case (webdataset's rule)."""
    folder, name = posixpath.split(path)
    stem, _, suffix = name.partition(".")
    return posixpath.join(folder, stem), suffix.lower()


def _beside(stem: str, files: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The texts of a video whose path without its last suffix is `stem`, which may hold points itself."""
    start, inner = split_name(stem)
    head = f"{inner}." if inner else ""
    named = {name[len(head) :]: path for name, path in files[start].items() if name.startswith(head)}
    return {suffix: path for suffix, path in named.items() if video_texts.SUFFIX.fullmatch(suffix)}


def _resolved(path: str, folder: Location) -> str:
    if "://" in path or path.startswith("/"):
        return canonical(path) or path
    return str(folder / path)
