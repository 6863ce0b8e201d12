"""Shared memory for pixels: a slot is one sample's from when it is asked for until its batch was used."""

import mmap
import os
import tempfile
from collections import deque
from collections.abc import Mapping

import numpy as np

from training.data.appearance import Pixels

Shape = tuple[int, ...]
"""Frames, height, width, 3; of features that were computed ahead, frames, features, bytes."""


def pixels_at(memory: mmap.mmap, offset: int, shape: Shape) -> Pixels:
    """uint8[shape]: the slot that begins `offset` bytes into the memory."""
    return np.frombuffer(memory, np.uint8, int(np.prod(shape)), offset).reshape(shape)


class Slots:
    """Slots of each dataset's own size. Memory that no sample has reached yet costs nothing."""

    def __init__(self, shapes: Mapping[str, Shape], counts: Mapping[str, int]) -> None:
        """`shapes` of the largest sample of each dataset; `counts` of its slots."""
        self._shapes = shapes
        self._free = dict[str, deque[int]]()
        end = 0
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            self._free[name] = deque(range(end, end + counts[name] * size, size))
            end += counts[name] * size
        self.file = _open_file()
        """Its number, by which other processes map the same memory."""
        os.ftruncate(self.file, end)
        self._memory = mmap.mmap(self.file, end)

    def take(self, dataset: str) -> int | None:
        """The offset of a slot, in bytes, or None where all are taken."""
        return self._free[dataset].popleft() if self._free[dataset] else None

    def give_back(self, dataset: str, offset: int) -> None:
        self._free[dataset].append(offset)

    def pixels(self, dataset: str, offset: int) -> Pixels:
        """uint8, in the dataset's shape."""
        return pixels_at(self._memory, offset, self._shapes[dataset])

    def close(self) -> None:
        """Closes the file; the memory goes with the last array that looks at it."""
        os.close(self.file)


def _open_file() -> int:
    """The number of an open file that lies in memory where that is possible."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("samples")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
