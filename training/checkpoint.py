"""Checkpoints: adapters, optimiser and how far the run and its loaders are; safetensors and JSON, never a pickle.

    all ranks gather a tensor at a time ──► the first writes files, then the manifest with their hashes ──► prune

Everything in one is whole tensors by parameter name, so it can be loaded by any number of workers.
"""

import shutil
from pathlib import Path

import deepspeed
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.engine import AnyFlamingo, sum_over_ranks, trained_parameters
from training.optimizer import MOMENTS
from training.plan import ADAPTERS, Progress, checkpoint_folder, commit_checkpoint

OPTIMIZER = "optimizer.safetensors"
MASTER = "master"


def save_checkpoint(flamingo: AnyFlamingo, output: Path, progress: Progress, objective: float) -> str | None:
    """Writes the checkpoint of `progress` into the run in `output`. All ranks must call it; the first one writes.

    `objective` is the mean of the loss since the checkpoint before. Returns why it could not be written, or None; on
    ranks that do not write, in general terms. What was written of one that failed is deleted.
    """
    state = _optimizer_state(flamingo)
    why = None
    with deepspeed.zero.GatheredParameters(flamingo.model.trained_parameters()):
        if dist.get_rank() == 0:
            why = _write(flamingo, output, progress, objective, state)
    (failed,) = sum_over_ranks([why is not None], flamingo.device)
    return why or ("the first worker could not write it" if failed else None)


def load_optimizer(flamingo: AnyFlamingo, folder: Path, update: int) -> None:
    """Sets the optimiser, with its fp32 copies of the parameters, to what `folder` holds. All ranks must call it."""
    state = load_file(folder / OPTIMIZER)
    wholes = {
        parameter: {moment: state[f"{name}.{moment or MASTER}"] for moment in (None, *MOMENTS)}
        for name, parameter in trained_parameters(flamingo.model)
    }
    flamingo.restore(wholes, update)


def _write(
    flamingo: AnyFlamingo, output: Path, progress: Progress, objective: float, state: dict[str, Tensor]
) -> str | None:
    folder = checkpoint_folder(output, progress.update)
    shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
    try:
        flamingo.model.save_pretrained(folder / ADAPTERS)
        save_file(state, folder / OPTIMIZER)
        commit_checkpoint(folder, progress, objective)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return f"checkpoint {folder} cannot be written: {error}"
    return None


def _optimizer_state(flamingo: AnyFlamingo) -> dict[str, Tensor]:
    """fp32 parameters and moments by name, on the rank that writes them."""
    writes, state = dist.get_rank() == 0, dict[str, Tensor]()
    for name, parameter in trained_parameters(flamingo.model):
        for moment in (None, *MOMENTS):
            whole = flamingo.whole(parameter, moment)
            if writes:
                state[f"{name}.{moment or MASTER}"] = whole.cpu().clone()
    return state
