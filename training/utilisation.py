"""How much of what the devices can do at most a run makes use of, by the operations that its texts and pictures need.

Padding needs none, and neither does what checkpointing computes anew: both lower the utilisation.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from model.batch import IGNORED, FlamingoBatch
from model.config import FlamingoConfig
from training.config import TrainingConfig
from training.data.mixture import LoadedBatch
from training.devices import find_peak
from training.engine import sum_over_ranks
from training.operations import Operations, Work, count_operations
from training.skeleton import build_skeleton


def measure_operations(
    batches: Mapping[str, LoadedBatch], config: TrainingConfig, device: torch.device
) -> dict[str, float]:
    """Operations of an update on all ranks, and those that their devices can do a second; nothing where unknown.

    All ranks must call it. Where features were computed ahead, operations on pictures have no share in an update, and
    are not told from others.
    """
    peak = 0.0 if config.precomputed else find_peak(config.hardware, config.precision, gpu=config.gpu)
    each = operations_of(config.model) if peak else None
    mine = sum(each.of(count_work(loaded.batch)) for loaded in batches.values()) if each else 0.0
    operations, peaks = sum_over_ranks([mine, peak], device)
    return {"operations": operations, "peak_operations_per_second": peaks} if operations else {}


def utilisation(measures: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """The share of its devices' peak that an update of so many seconds took, where both are known."""
    if "operations" not in measures:
        return {}
    return {"utilisation": measures["operations"] / (seconds * measures["peak_operations_per_second"])}


@cache
def operations_of(model: FlamingoConfig) -> Operations | None:
    """What the model takes; None, and a warning, for backbones whose operations cannot be counted without values."""
    try:
        return count_operations(build_skeleton(model))
    except (NotImplementedError, RuntimeError, ValueError) as error:
        logging.getLogger(__name__).warning("utilisation is not logged: %s", error)
        return None


def count_work(batch: FlamingoBatch) -> Work:
    """Of one rank's part of a batch, without padding and without the dummy of a batch that has no media."""
    seen = batch.media_index[batch.media_index >= 0].unique()
    lengths = text_lengths(batch)
    return Work(
        tokens=float(lengths.sum()),
        squares=float(lengths.square().sum()),
        targets=float((batch.targets != IGNORED).sum()),
        media=len(seen),
        frames=float(batch.frame_mask[seen].sum()),
    )


def text_lengths(batch: FlamingoBatch) -> torch.Tensor:
    """int64[texts]: tokens of each text, in whatever row it is."""
    if batch.document is None:
        return batch.attention_mask.sum(dim=1)
    rows = torch.arange(len(batch.document))[:, None] * batch.document.shape[1]
    return (batch.document + rows)[batch.document >= 0].unique(return_counts=True)[1]
