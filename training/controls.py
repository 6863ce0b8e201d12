"""Losses with other pictures than a batch's own: the only sign in a log that the model looks at them.

Blind: all pictures are of the mean colour. Shuffled: each sample has the pictures of another. A model that looks has a
higher loss with either than with its own. Both are of an update's batches before its step, without gradient.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor

from model.flamingo import Flamingo, FlamingoBatch
from model.loss import IGNORED
from training.config import TrainingConfig
from training.data.mixture import LoadedBatch
from training.engine import AnyFlamingo, sum_over_ranks
from training.micro_batches import count_micro_batches, count_targets, split_batch


def control_losses(
    flamingo: AnyFlamingo, batches: Mapping[str, LoadedBatch], config: TrainingConfig
) -> dict[str, dict[str, float]]:
    """`blind_loss` and `shuffled_loss` by dataset, as `loss` is. All ranks must call it.

    A rank whose part of a batch has pictures in fewer than two samples has no share in the shuffled loss, and where no
    rank has one, there is none.
    """
    kinds: dict[str, Callable[[FlamingoBatch], FlamingoBatch]] = {
        "blind_loss": lambda batch: blank(batch, flamingo.model),
        "shuffled_loss": shuffle,
    }
    return {
        kind: {
            name: total / tokens
            for name, loaded in batches.items()
            for total, tokens in [_measure(flamingo, change(loaded.batch), config, name)]
            if tokens
        }
        for kind, change in kinds.items()
    }


def blank(batch: FlamingoBatch, model: Flamingo) -> FlamingoBatch:
    """The batch with pictures of the mean colour alone."""
    colour = torch.tensor([round(255 * channel) for channel in model.image_mean], dtype=torch.uint8)
    square = colour[:, None, None].expand(3, model.image_size, model.image_size)
    return replace(batch, pixels=square.expand(*batch.frame_mask.shape, -1, -1, -1), features=None)


def shuffle(batch: FlamingoBatch) -> FlamingoBatch:
    """The batch with the pictures of each sample's next one that has any, the last one's next being the first.

    Of these as many as it has itself, over again where they are too few. With fewer than two such samples there is
    nothing to shuffle, and nothing is trained on.
    """
    groups = group_media(batch)
    if len(groups) < 2:
        return replace(batch, labels=torch.full_like(batch.labels, IGNORED))
    source = torch.arange(len(batch.pixels))
    for own, others in zip(groups, [*groups[1:], groups[0]], strict=True):
        source[own] = others[torch.arange(len(own)) % len(others)]
    return replace(
        batch,
        pixels=batch.pixels[source],
        frame_mask=batch.frame_mask[source],
        features=batch.features[source] if batch.features is not None else None,
    )


def group_media(batch: FlamingoBatch) -> list[Tensor]:
    """The media that each sample sees, int64[media], for the samples that see any, by row and place in the row."""
    document = torch.zeros_like(batch.media_index) if batch.document is None else batch.document
    rows = torch.arange(len(document)).unsqueeze(1).expand_as(document)
    seen = batch.media_index >= 0
    found = torch.stack([rows[seen], document[seen], batch.media_index[seen]], dim=1).unique(dim=0)
    if not len(found):
        return []
    _, sizes = found[:, :2].unique_consecutive(dim=0, return_counts=True)
    return list(found[:, 2].split(sizes.tolist()))


@torch.no_grad()
def _measure(flamingo: AnyFlamingo, batch: FlamingoBatch, config: TrainingConfig, name: str) -> tuple[float, float]:
    """The sum of -log p over the tokens of all ranks' parts of a batch of dataset `name`, and their number."""
    parts = count_micro_batches(config.datasets[name].batch, dist.get_world_size(), config.micro_batch)
    total = sum(flamingo.loss_sum(part.to(flamingo.device)).item() for part in split_batch(batch, parts))
    total, tokens = sum_over_ranks([total, count_targets(batch)], flamingo.device)
    return total, tokens
