"""Checkpoints: adapters, optimiser and how far the run and its loaders are; safetensors and JSON, never a pickle.

A checkpoint is a folder, and it exists when its manifest does, which is written last. Everything in it is whole
tensors by parameter name, so it can be loaded by any number of workers.
"""

import dataclasses
import json
from pathlib import Path

import deepspeed
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from shards.location import locate
from training.engine import ShardedFlamingo
from training.plan import ADAPTERS, MANIFEST, Progress

OPTIMIZER = "optimizer.safetensors"
MASTER, MOMENTS = "master", ("exp_avg", "exp_avg_sq")


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
