"""Training functions of workers that die, or spoil a gradient, in the middle of their work."""

import functools
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from training.plan import Plan

RANK = 1
"""Of the worker that dies."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die_in_backward(settings: dict[str, Plan], *, update: int, mark: Path) -> None:
    """Trains; the first time, one worker is killed while the gradients of that update's last loss are computed."""
    if dist.get_rank() == RANK and not mark.exists():
        _change_backward(settings["plan"], update, lambda loss: _dying(loss, mark), last_dataset=True)
    _train(settings)


def train_and_die_at_checkpoint(settings: dict[str, Plan], *, update: int, mark: Path) -> None:
    """Trains; the first time, one worker is killed when half of its share of that update's checkpoint is written."""
    from training import checkpoint

    save = checkpoint.save_file

    def write_half_and_die(tensors: dict[str, torch.Tensor], path: Path) -> None:
        save(tensors, path)
        if f"update-{update:09d}" in str(path) and not mark.exists():
            mark.touch()
            os.truncate(path, path.stat().st_size // 2)
            die()

    if dist.get_rank() == RANK:
        checkpoint.save_file = write_half_and_die
    _train(settings)


def train_without_a_gradient(settings: dict[str, Plan], *, update: int, mark: Path) -> None:
    """Trains; from that update on all losses are no numbers, unless `mark` is there."""
    if not mark.exists():
        _change_backward(settings["plan"], update, lambda loss: loss * math.nan, last_dataset=False)
    _train(settings)


def _train(settings: dict[str, Plan]) -> None:
    from training.loop import train

    train(settings["plan"])


def _dying(loss: torch.Tensor, mark: Path) -> torch.Tensor:
    loss.register_hook(lambda _: die())
    mark.touch()
    return loss


def _change_backward(
    plan: Plan, update: int, change: Callable[[torch.Tensor], torch.Tensor], *, last_dataset: bool
) -> None:
    """Changes the losses that go backward from that update on, of a run that begins where `plan` does."""
    from training.engine import ShardedFlamingo

    real, datasets = ShardedFlamingo.backward, len(plan.config.datasets)
    first = (update - plan.progress.update - 1) * datasets + (datasets - 1 if last_dataset else 0)
    calls = iter(range(1_000_000))

    @functools.wraps(real)
    def backward(self: ShardedFlamingo, loss_sum: torch.Tensor, **how: Any) -> None:
        loss = loss_sum * 1.0  # a tensor of its own, on which a hook is called first
        real(self, change(loss) if next(calls) >= first else loss, **how)

    ShardedFlamingo.backward = backward
