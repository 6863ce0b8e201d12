"""A worker's part of a batch in smaller ones, whose gradients are added: less memory, the same update."""

from itertools import pairwise

import torch

from model.batch import IGNORED, FlamingoBatch


def count_micro_batches(batch: int, workers: int, micro_batch: int) -> int:
    """How many micro-batches each of the workers makes of a global batch: the same number, whatever its part holds.

    `micro_batch` is the most samples of one, or 0 for no bound.
    """
    share = -(-batch // workers)
    return -(-share // micro_batch) if micro_batch else 1


def count_targets(batch: FlamingoBatch) -> int:
    """Tokens that the batch is trained on; the first of a text is never predicted."""
    return int((batch.targets != IGNORED).sum())


def split_batch(batch: FlamingoBatch, parts: int) -> list[FlamingoBatch]:
    """The rows of `batch` in order, dealt to `parts` batches as evenly as can be, each with the media that it sees.

    Where there are more parts than rows, what is left over trains on nothing and sees nothing.
    """
    if parts == 1:
        return [batch]
    rows = len(batch.input_ids)
    bounds = [rows * part // parts for part in range(parts + 1)]
    return [_rows(batch, start, end) if start < end else _silent(batch) for start, end in pairwise(bounds)]


def _rows(batch: FlamingoBatch, start: int, end: int) -> FlamingoBatch:
    """Rows `start` to `end`, as wide as the longest of them, with their media numbered anew."""
    rows = slice(start, end), slice(0, _last_true(batch.attention_mask[start:end]))
    pointers = batch.media_index[rows]
    seen = pointers[pointers >= 0].unique()
    numbers = torch.full([len(batch.pixels)], -1, device=seen.device).index_copy(0, seen, torch.arange(len(seen)))
    media = seen if len(seen) else torch.zeros(1, dtype=torch.int64)
    frames = _last_true(batch.frame_mask[media])
    return FlamingoBatch(
        input_ids=batch.input_ids[rows],
        attention_mask=batch.attention_mask[rows],
        media_index=numbers[pointers.clamp(min=0)].where(pointers >= 0, -1),
        pixels=batch.pixels[media, :frames],
        frame_mask=batch.frame_mask[media, :frames],
        labels=batch.labels[rows],
        document=batch.document[rows] if batch.document is not None else None,
        features=batch.features[media, :frames] if batch.features is not None else None,
    )


def _silent(batch: FlamingoBatch) -> FlamingoBatch:
    """A token that nothing is trained on, and a medium that nothing sees."""
    token = slice(0, 1), slice(0, 1)
    return FlamingoBatch(
        input_ids=batch.input_ids[token],
        attention_mask=batch.attention_mask[token],
        media_index=torch.full_like(batch.media_index[token], -1),
        pixels=batch.pixels[:1, :1],
        frame_mask=batch.frame_mask[:1, :1],
        labels=torch.full_like(batch.labels[token], IGNORED),
        document=batch.document[token] if batch.document is not None else None,
        features=batch.features[:1, :1] if batch.features is not None else None,
    )


def _last_true(mask: torch.Tensor) -> int:
    """The number of columns of bool[rows, columns] up to the last with a True."""
    return int(mask.any(dim=0).nonzero().max()) + 1
