"""Checkpoints: adapters, optimiser and how far the run and its loaders are; safetensors and JSON, never a pickle.

A checkpoint is a folder, and it exists when its manifest does, which is written last. Everything in it is whole
tensors by parameter name, so it can be loaded by any number of workers.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import deepspeed
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from shards.errors import DatasetError
from shards.location import locate
from training.engine import ShardedFlamingo

CHECKPOINTS = "checkpoints"
ADAPTERS = "adapters"
OPTIMIZER = "optimizer.safetensors"
MANIFEST = "manifest.json"
MASTER, MOMENTS = "master", ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    update: int
    """Updates made."""
    given: Mapping[str, int]
    """Samples that each dataset has given, to all workers together: the whole state of its loader."""
    datasets: Mapping[str, str]
    """The SHA-256 of each dataset's manifest, since the order of samples follows from it."""

    def check_datasets(self, found: Mapping[str, str]) -> None:
        """Raises DatasetError if a dataset is no longer the one that the run began with."""
        for name, sha256 in self.datasets.items():
            if found.get(name) != sha256:
                raise DatasetError(
                    f"dataset {name} has changed since the run's update {self.update}: its manifest's sha256 is "
                    f"{found.get(name)} and was {sha256}; restore it, or begin a new run in another output folder"
                )


def save_checkpoint(flamingo: ShardedFlamingo, folder: Path, progress: Progress) -> None:
    """Writes a checkpoint into `folder`. All ranks must call it; the first one writes."""
    writes = dist.get_rank() == 0
    with deepspeed.zero.GatheredParameters(flamingo.model.trained_parameters()):
        if writes:
            flamingo.model.save_adapters(folder / ADAPTERS)
    state = _optimizer_state(flamingo)
    if writes:
        save_file(state, folder / OPTIMIZER)
        manifest = json.dumps(dataclasses.asdict(progress), indent=1, sort_keys=True)
        locate(str(folder / MANIFEST)).write(f"{manifest}\n".encode())
    dist.barrier()


def load_optimizer(flamingo: ShardedFlamingo, folder: Path, update: int) -> None:
    """Sets the optimiser, with its fp32 copies of the parameters, to what `folder` holds. All ranks must call it."""
    state = load_file(folder / OPTIMIZER)
    optimizer = flamingo.optimizer
    for flat in optimizer.fp32_partitioned_groups_flat:
        moments = {moment: torch.zeros_like(flat) for moment in MOMENTS}
        optimizer.optimizer.state[flat] = {"step": torch.tensor(float(update)), **moments}
    for name, parameter in flamingo.trained_parameters():
        length = optimizer.get_local_fp32_param(parameter).numel()
        optimizer.set_local_hp_param(_share(state[f"{name}.{MASTER}"], length), parameter)
        for moment in MOMENTS:
            optimizer.set_local_hp_param(_share(state[f"{name}.{moment}"], length), parameter, moment)


def last_checkpoint(output: Path) -> Progress | None:
    """The progress at the last whole checkpoint of the run in `output`, or None where there is none.

    Raises DatasetError if its manifest is not one of this program's.
    """
    whole = sorted(output.glob(f"{CHECKPOINTS}/update-*/{MANIFEST}"))
    if not whole:
        return None
    try:
        return Progress(**json.loads(whole[-1].read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{whole[-1]} is not a checkpoint's manifest: {error}") from None


def checkpoint_folder(output: Path, update: int) -> Path:
    return output / CHECKPOINTS / f"update-{update:09d}"


def _optimizer_state(flamingo: ShardedFlamingo) -> dict[str, Tensor]:
    """fp32 parameters and moments by name, whole on every rank."""
    state = dict[str, Tensor]()
    for name, parameter in flamingo.trained_parameters():
        state[f"{name}.{MASTER}"] = flamingo.whole(parameter).cpu().clone()
        for moment in MOMENTS:
            state[f"{name}.{moment}"] = flamingo.whole(parameter, moment).cpu().clone()
    return state


def _share(whole: Tensor, length: int) -> Tensor:
    """float[length]: this rank's part of a tensor that ZeRO flattens, pads to a multiple of the ranks, and cuts."""
    padded = functional.pad(whole.flatten(), (0, length * dist.get_world_size() - whole.numel()))
    return padded.narrow(0, length * dist.get_rank(), length)
