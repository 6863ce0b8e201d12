"""The optimiser's state in the files of a checkpoint, which any number of ranks may have written and may read.

    optimizer/00001-of-00002.safetensors    what rank 1 of 2 held: `{parameter}.{moment}@{start}`, float32[elements]

A tensor holds elements `start` onwards of the parameter flattened, `moment` being AdamW's, or `master` for the fp32
values themselves. A rank that reads needs other elements where their number has changed, or the ZeRO stage.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from shards.errors import DatasetError
from shards.location import Location
from training.manifest import fetched

OPTIMIZER = "optimizer"
MASTER = "master"


def part_name(rank: int, world: int) -> str:
    """The path in a checkpoint of what that rank wrote."""
    return f"{OPTIMIZER}/{rank:05d}-of-{world:05d}.safetensors"


def tensor_name(parameter: str, moment: str | None, start: int) -> str:
    return f"{parameter}.{moment or MASTER}@{start}"


class OptimizerParts:
    """What the files of one checkpoint hold, as one."""

    def __init__(self, folder: Location, files: Iterable[str], scratch: Path, *, nearest: float) -> None:
        """`files` are the checkpoint's; of a remote one those that are needed are copied to `scratch`.

        Those are looked at first that lie around the share `nearest` (0 to 1) of them: a rank finds there what it
        held before, or most of it.
        """
        names = sorted(name for name in files if name.startswith(f"{OPTIMIZER}/"))
        first = int(nearest * len(names))
        self._folder, self._names = folder, [*names[first:], *names[:first]]
        self._part = cache(lambda name: _open(fetched(folder, [name], scratch) / name))

    def read(self, parameter: str, moment: str | None, elements: range) -> Tensor:
        """float32[elements]. Raises DatasetError if the files lack some of them."""
        values, found = torch.empty(len(elements)), 0
        for name in self._names:
            if found == len(elements):
                break
            part = self._part(name)
            if start := part.starts.get(f"{parameter}.{moment or MASTER}"):
                held = part.file.get_slice(tensor_name(parameter, moment, int(start)))
                found += _copy(held, int(start), values, elements)
        if found < len(elements):
            raise DatasetError(
                f"the checkpoint in {self._folder} holds {found} of the {len(elements)} elements of "
                f"{parameter} ({moment or MASTER}) that are asked for; it is not of this model"
            )
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One file, of which only what is asked for is read."""

    file: Any
    starts: Mapping[str, str]
    """Of each tensor what stands behind the `@` in its name, by what stands before."""


def _open(path: Path) -> _Part:
    file = safe_open(path, "pt")
    return _Part(file=file, starts=dict(name.rsplit("@", 1) for name in file.keys()))  # noqa: SIM118  # no mapping


def _copy(held: Any, start: int, values: Tensor, elements: range) -> int:
    """Sets those `values` of `elements` that are among the held ones, from `start` on; says how many."""
    here = range(max(start, elements.start), min(start + held.get_shape()[0], elements.stop))
    if here:
        piece = held[here.start - start : here.stop - start]
        values[here.start - elements.start : here.stop - elements.start] = piece
    return len(here)
