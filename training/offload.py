"""What DeepSpeed keeps in the CPU's memory or in files: its settings, and what is there of each group of parameters.

this rank's elements of a group, end to end ──in_memory──► read or changed ──► back to their file
"""

import hashlib
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3

from jobs.command import InputError
from training.async_io import load_async_io
from training.config import TrainingConfig

GROUP_ELEMENTS = 100_000_000
"""Parameters that come from their files and go back to them at once, in the optimiser's step; their owner has four
times as many numbers of them in memory, divided by the number of workers."""


def offload_settings(config: TrainingConfig, largest: int, folder: Path) -> dict[str, Any]:
    """Of DeepSpeed's `zero_optimization`; `largest` is the number of elements that a rank has of one parameter."""
    where = {"nvme_path": str(folder), "pin_memory": config.gpu}
    settings = dict[str, Any]()
    if config.offload.optimizer != "none":
        settings["offload_optimizer"] = {"device": config.offload.optimizer, **where}
    if config.offload.parameters != "none":
        settings["offload_param"] = {"device": config.offload.parameters, "buffer_size": largest, **where}
    if config.offload.optimizer == "nvme":
        settings["sub_group_size"] = GROUP_ELEMENTS
    return settings


@contextmanager
def own_folder(config: TrainingConfig, rank: int, size: int) -> Generator[Path]:
    """A folder for the files of this rank, in the one for files, which is deleted in the end.

    `size` is how many bytes they will have. Raises InputError where there can be no such files, or no room for those of
    all ranks of this node: DeepSpeed aborts the process where a disk is full.
    """
    run = hashlib.sha256(str(Path(config.output).absolute()).encode()).hexdigest()[:12]
    folder = Path(config.offload.folder, f"flamboyance-{run}-{rank}")
    if not config.offload.uses_files:
        yield folder
        return
    load_async_io()
    shutil.rmtree(folder, ignore_errors=True)  # a worker that was killed left it
    folder.mkdir(parents=True)
    try:
        if dist.is_initialized():
            dist.barrier()  # what other workers left is gone, too
        check_room(folder.parent, size * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_room(folder: Path, needed: int) -> None:
    """Raises InputError if the disk of `folder` has less free than the bytes that are needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"offload.folder {folder} has {free:,} bytes free, and the files of this node's workers take {needed:,}; "
            "name a folder on a larger disk, or choose more workers or cpu"
        )


@contextmanager
def in_memory(optimizer: object, group: int) -> Generator[None]:
    """While this lasts, the optimiser's elements of a group of parameters, and moments, are in memory; changes last."""
    if not (isinstance(optimizer, DeepSpeedZeroOptimizer_Stage3) and optimizer._swappable_optimizer_subgroup(group)):
        yield
        return
    optimizer._optimizer_states_and_gradient_swap_in(group)
    yield
    optimizer._optimizer_states_and_gradient_swap_out(group)
