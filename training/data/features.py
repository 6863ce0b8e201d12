"""Features of the vision encoder that were computed ahead: how they lie beside the shards, and how they are read.

    DATASET/features/KEY/SHARD.safetensors     all frames of the shard's documents, in order
    DATASET/features/KEY/manifest.json         written last; of which state of the dataset they are

KEY is a hash of all that features depend on. Neither torch nor the encoder is needed to read them.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.dataset import Dataset
from shards.errors import DatasetError
from shards.location import Location
from shards.shard import FEATURES, ShardRecord
from training.data.appearance import Pixels
from training.data.pictures import TOO_LARGE, UNDECODABLE, BadMedia, Canvas

MANIFEST = "manifest.json"
SHARD = "shard_sha256"
"""By which a file of features says of what it is."""
ITEM_BYTES: Mapping[str, int] = {"F32": 4, "BF16": 2}
"""Of the kinds of numbers, by safetensors' names, that training computes with."""
FLAWS = ("", TOO_LARGE, UNDECODABLE)
"""What is wrong with a picture, by the number in `flaws`; those with a flaw have features of zero."""
OPEN_TABLES = 512
"""Shards whose tables of documents are kept in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eye:
    """What the features of a picture depend on, beside the picture."""

    fingerprint: str
    """Of the vision encoder's weights."""
    class_token: bool
    canvas: Canvas
    deviation: tuple[float, float, float]
    """By which pixels are divided, red, green and blue in 0..1."""
    dtype: str
    """One of `ITEM_BYTES`."""

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Features:
    """Those of one dataset."""

    folder: Location
    dtype: str
    space: int
    """Features of a picture."""
    width: int
    """Numbers of a feature."""

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Of the bytes of a frame: a row for each feature."""
        return self.space, self.width * ITEM_BYTES[self.dtype]

    def read(self, shard: str, offset: int, frames: Sequence[int], into: Pixels) -> None:
        """Fills the first rows of `into`, uint8[frames, *frame_shape], with these frames of the document at `offset`.

        Raises BadMedia if one of them could not be decoded, and DatasetError if the features are not there.
        """
        table = self._tables(shard)
        first = table.first_frame(offset)
        size = int(np.prod(self.frame_shape))
        for row, frame in zip(into, frames, strict=False):
            number = first + frame
            if flaw := FLAWS[table.flaws[number]]:
                raise BadMedia(flaw)
            row[:] = np.frombuffer(table.read(number * size, size), np.uint8).reshape(self.frame_shape)

    def file_of(self, shard: str) -> Location:
        return self.folder / f"{shard}.safetensors"

    @cached_property
    def _tables(self) -> Callable[[str], "Table"]:
        # Made when it is first asked for, since this is handed to other processes before.
        return lru_cache(maxsize=OPEN_TABLES)(lambda shard: open_table(self.file_of(shard)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Which frames of a shard's features are which document's."""

    file: Location
    start: int
    """Of the features, in bytes."""
    documents: NDArray[np.int64]
    """Where each begins in its tar, in bytes, rising."""
    first: NDArray[np.int64]
    """The number of its first frame."""
    flaws: NDArray[np.uint8]

    def first_frame(self, offset: int) -> int:
        """Raises DatasetError if there is no document at `offset`."""
        place = int(np.searchsorted(self.documents, offset))
        if place == len(self.documents) or self.documents[place] != offset:
            raise DatasetError(f"{self.file} has no features of the document at byte {offset}; compute them again")
        return int(self.first[place])

    def read(self, offset: int, size: int) -> bytes:
        return self.file.read_range(self.start + offset, size)


def open_table(file: Location) -> Table:
    """Reads the head of a file of features, and all but the features. Raises DatasetError if it is not one."""
    begin, head = _read_head(file)

    def array(name: str, dtype: Any) -> NDArray[Any]:
        start, end = head[name]["data_offsets"]
        return np.frombuffer(file.read_range(begin + start, end - start), dtype)

    return Table(
        file=file,
        start=begin + head["features"]["data_offsets"][0],
        documents=array("documents", np.int64),
        first=array("first", np.int64),
        flaws=array("flaws", np.uint8),
    )


@contextmanager
def written_features(
    path: Path, shard: ShardRecord, documents: NDArray[np.int64], frames: NDArray[np.int64], like: Features
) -> Generator[Callable[[bytes, Sequence[int]], None]]:
    """Writes a shard's features into one safetensors file as they come, by the function that it lends: that takes the
    bytes of some frames' features, and the number of each one's flaw in `FLAWS`.

    `documents` and `frames`, int64[documents]: where each begins, and how many frames it has. Raises DatasetError if
    other than so many frames came.
    """
    total, flaws = int(frames.sum()), bytearray()
    arrays = {"documents": documents.astype("<i8"), "first": (np.cumsum(frames) - frames).astype("<i8")}
    with path.open("wb") as file:
        file.write(_head(shard, total, like))
        for array in arrays.values():
            file.write(array.tobytes())

        def add(features: bytes, numbers: Sequence[int]) -> None:
            file.write(features)
            flaws.extend(numbers)

        yield add
        if len(flaws) != total:
            raise DatasetError(f"{len(flaws)} frames came, and the shard's index says {total}")
        file.write(flaws)


def are_of(file: Location, shard: ShardRecord) -> bool:
    """Whether the features in `file` are there, and are of that shard as it is now."""
    return file.exists() and _read_head(file)[1]["__metadata__"][SHARD] == shard.sha256


def _read_head(file: Location) -> tuple[int, dict[str, Any]]:
    """Where the tensors begin in a safetensors file, in bytes, and what its head says."""
    length = int.from_bytes(file.read_range(0, 8), "little")
    return 8 + length, json.loads(file.read_range(8, length))


def _head(shard: ShardRecord, frames: int, like: Features) -> bytes:
    """What stands before the tensors in a safetensors file."""
    tensors = {
        "documents": ("I64", [shard.documents], 8 * shard.documents),
        "first": ("I64", [shard.documents], 8 * shard.documents),
        "features": (like.dtype, [frames, like.space, like.width], frames * int(np.prod(like.frame_shape))),
        "flaws": ("U8", [frames], frames),
    }
    ends = np.cumsum([size for _, _, size in tensors.values()]).tolist()
    head: dict[str, Any] = {"__metadata__": {SHARD: shard.sha256}}
    head |= {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [end - size, end]}
        for end, (name, (dtype, shape, size)) in zip(ends, tensors.items(), strict=True)
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def features_folder(dataset: Dataset, eye: Eye) -> Location:
    """Where the features of the dataset lie, or would."""
    return dataset.location / FEATURES / eye.key


def write_manifest(dataset: Dataset, eye: Eye, features: Features) -> None:
    """Says that the features of all of the dataset's shards are there."""
    record = {
        "eye": asdict(eye),
        "space": features.space,
        "width": features.width,
        "dataset": dataset.manifest.sha256,
    }
    (features.folder / MANIFEST).write((json.dumps(record, indent=1) + "\n").encode())


def open_features(name: str, dataset: Dataset, eye: Eye) -> Features:
    """Those of dataset `name` as that encoder sees it. Raises DatasetError if they are missing, or of another state."""
    folder = features_folder(dataset, eye)
    again = "run python -m training.precompute with the same config"
    if not (folder / MANIFEST).exists():
        raise DatasetError(f"dataset {name} has no features of this vision encoder in {folder}; {again}")
    record = json.loads((folder / MANIFEST).read())
    if record["dataset"] != dataset.manifest.sha256:
        raise DatasetError(f"dataset {name} has changed since its features in {folder} were computed; {again}")
    return Features(folder=folder, dtype=eye.dtype, space=record["space"], width=record["width"])
