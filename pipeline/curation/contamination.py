"""What models are judged by must not be in what they learn from: near-copies of benchmark images and texts.

Flamingo took near-copies of its evaluation images out of ALIGN and LTIP but not out of M3W, in which it found 1,314
candidates (arXiv 2204.14198). A benchmark has thousands of images: every task compares its own with all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs

from jobs.command import InputError
from pipeline.curation import pictures
from pipeline.curation.columns import Hashes, hashes_in, strings_in
from pipeline.curation.exact import words_of
from pipeline.curation.near import shingles_of
from pipeline.curation.pictures import LOOK, Thumbnails, look_of, looks_like, thumbnails_of
from pipeline.pixels import frame_pixels
from shards.document import Frame, ImageFormat
from shards.location import Location

MOST_DISTANCE = 8
"""Bits in which the hash of a near-copy may differ: of 157 photographs 144 are found with 2 % cut off at each edge."""
RUN = 13
"""Words in a run that a document may not share with a benchmark (GPT-3, arXiv 2005.14165, appendix C)."""
IMAGES: Mapping[str, ImageFormat] = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}
"""Endings of benchmark images, and their formats."""
TEXTS = (".txt",)
"""Endings of benchmark texts, one a line."""
SIDE = 128
"""Pixels of the shorter side, at most, at which images are compared: half of the time that 512 take."""
LOOKS = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),  # why it cannot be decoded; empty if it can
        *LOOK,
    ]
)
RUNS = pa.schema([pa.field("file", pa.string(), nullable=False), pa.field("run", pa.uint64(), nullable=False)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """What may not be learnt from."""

    images: list[str]
    """The files of the images."""
    hashes: Hashes
    """`uint64[images]`."""
    thumbnails: Thumbnails
    """`uint8[images, 192]`."""
    texts: list[str]
    """The file of each run of words."""
    runs: Hashes
    """`uint64[texts]`, ascending: each run once."""

    def image_like(self, look: tuple[int, bytes]) -> tuple[str, int] | None:
        """The benchmark image that a picture of this `look` is a near-copy of, the nearest, and the bits between."""
        hash_, thumbnail = np.uint64(look[0]), np.frombuffer(look[1], dtype=np.uint8)
        found = np.flatnonzero(looks_like((hash_, thumbnail), self.hashes, self.thumbnails, MOST_DISTANCE))
        if not len(found):
            return None
        bits = np.bitwise_count(self.hashes[found] ^ hash_)
        return self.images[found[bits.argmin()]], int(bits.min())

    def text_in(self, words: Sequence[str]) -> tuple[str, int] | None:
        """The file of the first run that `words` share with a benchmark, and how many they share."""
        shared = np.flatnonzero(np.isin(self.runs, shingles_of(words, RUN))) if len(words) >= RUN else []
        return (self.texts[shared[0]], len(shared)) if len(shared) else None


def benchmark_files(field: str, folder: Location, endings: Iterable[str]) -> list[str]:
    """The files in `folder` and all below it that have one of `endings`, sorted, by their paths in it.

    Raises InputError, naming the config's `field`, if there is none.
    """
    endings = tuple(endings)
    selector = fs.FileSelector(folder.path, allow_not_found=True, recursive=True)
    paths = [info.path for info in folder.filesystem.get_file_info(selector) if info.type == fs.FileType.File]
    names = [PurePosixPath(path).relative_to(folder.path).as_posix() for path in paths]
    if not (found := sorted(name for name in names if name.lower().endswith(endings))):
        raise InputError(f"{field} {folder} holds no file that ends in {', '.join(endings)}")
    return found


def looks_of(folder: Location, files: Sequence[str]) -> pa.Table:
    """What the benchmark images `files` in `folder` look like, or why one cannot be decoded."""
    rows = [{"file": file, **_look(folder / file)} for file in files]
    return pa.Table.from_pylist(rows, schema=LOOKS)


def runs_of(field: str, folder: Location, files: Sequence[str]) -> pa.Table:
    """The runs of 13 words in each line of the benchmark texts `files` in `folder`; shorter lines have none.

    Raises InputError, naming the config's `field`, if there is no run at all, or a file is not UTF-8.
    """
    texts = ((file, words_of(line)) for file in files for line in _lines(folder / file))
    runs = [(file, shingles_of(words, RUN)) for file, words in texts if len(words) >= RUN]
    if not runs:
        raise InputError(f"{field} {folder} holds no line of {RUN} words or more, which is what texts are compared by")
    named = pa.array([file for file, hashes in runs for _ in hashes], pa.string())
    return pa.Table.from_arrays([named, pa.array(np.concatenate([hashes for _, hashes in runs]))], schema=RUNS)


def _lines(file: Location) -> list[str]:
    try:
        return file.read().decode().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"benchmark text {file} is not UTF-8: {error.reason} at byte {error.start}") from None


def benchmarks_of(looks: pa.Table, runs: pa.Table) -> Benchmarks:
    """What `looks` and `runs`, as `looks_of` and `runs_of` give them, hold."""
    found, places = np.unique(hashes_in(runs, "run"), return_index=True)
    return Benchmarks(
        images=strings_in(looks, "file"),
        hashes=hashes_in(looks, "hash"),
        thumbnails=thumbnails_of(looks),
        texts=strings_in(runs.take(places), "file"),
        runs=found,
    )


def _look(file: Location) -> dict[str, Any]:
    form = IMAGES[PurePosixPath(file.path.lower()).suffix]
    try:
        pixels = frame_pixels(Frame(data=file.read(), format=form, width=1, height=1), SIDE)
    except ValueError as error:
        return {"error": f"benchmark image {file}: {error}", "hash": 0, "thumbnail": bytes(3 * pictures.SIDE**2)}
    hash_, thumbnail = look_of(pixels)
    return {"error": "", "hash": hash_, "thumbnail": thumbnail}
