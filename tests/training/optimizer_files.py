"""The optimiser's files of a checkpoint put together, as tests see them."""

from pathlib import Path

import torch
from safetensors.torch import load_file


def read_optimizer(checkpoint: Path) -> dict[str, torch.Tensor]:
    """float32[elements] by `{parameter}.{moment}`, in however many files: no element twice, and none missing."""
    pieces = dict[str, dict[int, torch.Tensor]]()
    for path in (checkpoint / "optimizer").iterdir():
        for name, value in load_file(path).items():
            what, _, start = name.rpartition("@")
            if len(value):
                assert int(start) not in pieces.setdefault(what, {})
                pieces[what][int(start)] = value
    return {what: _joined(by_start) for what, by_start in pieces.items()}


def _joined(by_start: dict[int, torch.Tensor]) -> torch.Tensor:
    starts, values = sorted(by_start), [by_start[start] for start in sorted(by_start)]
    assert starts == [sum(map(len, values[:number])) for number in range(len(values))]
    return torch.cat(values)
