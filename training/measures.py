"""An update with what is measured around it: now and then what costs time (`MeasuresConfig`), always its memory."""

import resource
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist

from training.collectives import timed_collectives
from training.config import TrainingConfig
from training.controls import control_losses
from training.data.mixture import LoadedBatch
from training.engine import AnyFlamingo
from training.gradients import Gradients
from training.phases import Phases
from training.update import make_update
from training.utilisation import measure_operations


def measured_update(
    flamingo: AnyFlamingo, batches: Mapping[str, LoadedBatch], config: TrainingConfig, update: int, phases: Phases
) -> dict[str, Any]:
    """Makes the update of that number, and returns all that was measured of it. All ranks must call it."""
    due = config.measures
    phases.enter("controls")
    controls = control_losses(flamingo, batches, config) if is_due(update, due.controls_every) else {}
    gradients = Gradients(flamingo) if is_due(update, due.gradients_every) else None
    with timed_collectives() if is_due(update, due.collectives_every) else nullcontext() as seconds:
        measures = make_update(flamingo, batches, config, config.learning_rate_at(update), phases, gradients)
    return {
        **measures,
        **controls,
        **({"collective_seconds": dict(seconds)} if seconds else {}),
        **peak_memory(flamingo.device),
        **measure_operations(batches, config, flamingo.device),
    }


def is_due(update: int, every: int) -> bool:
    """Whether that update is one of `every` so many; never where that is 0."""
    return bool(every) and update % every == 0


def peak_memory(device: torch.device) -> dict[str, float]:
    """The most that a rank has held since it started: of the machine's memory, and of its GPU's where it has one."""
    mine = {"peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if device.type == "cuda":
        mine["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    highest = torch.tensor(list(mine.values()), dtype=torch.float64, device=device)
    dist.all_reduce(highest, op=dist.ReduceOp.MAX)
    return dict(zip(mine, highest.tolist(), strict=True))
