"""From samples to a batch: texts in rows, padded to the longest, and the pixels of all media in one list."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model.batch import IGNORED, FlamingoBatch
from training.data.appearance import Pixels
from training.data.features import Features
from training.data.packing import pack_rows
from training.data.pictures import Canvas, empty_square
from training.data.sampling import Ids, Sample

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSample:
    """A sample and its pictures."""

    sample: Sample
    """Without the encoded frames."""
    frames: tuple[int, ...]
    """How many frames each of its media has."""
    pixels: Pixels
    """uint8[frames of all media, size, size, 3], or the bytes of their features."""


def collate(
    decoded: Sequence[DecodedSample],
    canvas: Canvas,
    pad: int,
    *,
    features: Features | None = None,
    row_tokens: int = 0,
    pinned: bool = False,
) -> FlamingoBatch:
    """One batch of the samples; `pad` is the id that stands where a row has no token.

    Each sample has a row of its own, or shares one of `row_tokens` tokens if that is not 0. Without media there is one
    square of the mean colour that no token attends to; without samples there is one text of one token that nothing
    is trained on. `features`: what samples have is not pixels but these. `pinned`: in memory that a GPU can copy from
    while the caller goes on.
    """
    decoded = decoded or [_blank(pad)]
    samples = [one.sample for one in decoded]
    first_media = np.cumsum([0, *(len(one.frames) for one in decoded[:-1])])
    media_index = [
        np.where(sample.media_index < 0, -1, sample.media_index + first)
        for sample, first in zip(samples, first_media, strict=True)
    ]
    labels = [np.where(sample.trained, sample.input_ids, IGNORED) for sample in samples]
    lengths = [len(sample.input_ids) for sample in samples]
    rows = pack_rows(lengths, row_tokens) if row_tokens else [[number] for number in range(len(samples))]
    places = {number: place for row in rows for place, number in enumerate(row)}
    documents = [np.full(length, places[number]) for number, length in enumerate(lengths)]
    nothing = empty_square(canvas) if features is None else np.zeros(features.frame_shape, np.uint8)
    seen, frame_mask = _stack_media(decoded, nothing, pinned)
    tensors = {
        "input_ids": _lay(rows, [sample.input_ids for sample in samples], pad),
        "attention_mask": _lay(rows, [np.ones(length, dtype=np.int64) for length in lengths], 0).bool(),
        "media_index": _lay(rows, media_index, -1),
        **(_as_pixels(seen) if features is None else _as_features(seen, features)),
        "frame_mask": frame_mask,
        "labels": _lay(rows, labels, IGNORED),
        **({"document": _lay(rows, documents, -1)} if row_tokens else {}),
    }
    return FlamingoBatch(**{name: tensor.pin_memory() if pinned else tensor for name, tensor in tensors.items()})


def _blank(pad: int) -> DecodedSample:
    """A sample of one token that is attended to, since attention over nothing is not a number, but not trained on."""
    sample = Sample(
        key="",
        input_ids=np.array([pad]),
        media_index=np.array([-1]),
        trained=np.array([False]),
        attends_next=False,
        media=(),
    )
    return DecodedSample(sample=sample, frames=(), pixels=np.empty((0, 0, 0, 3), dtype=np.uint8))


def _as_pixels(seen: torch.Tensor) -> dict[str, torch.Tensor]:
    """uint8[media, time, 3, size, size]; in memory a pixel's channels lie side by side, as they were decoded."""
    return {"pixels": seen.permute(0, 1, 4, 2, 3)}


def _as_features(seen: torch.Tensor, features: Features) -> dict[str, torch.Tensor]:
    """The numbers whose bytes are `seen`, and no pixels."""
    pixels = torch.empty(*seen.shape[:2], 3, 0, 0, dtype=torch.uint8)
    return {"pixels": pixels, "features": seen.view(DTYPES[features.dtype])}


def _stack_media(decoded: Sequence[DecodedSample], nothing: Pixels, pinned: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8[media, time, *frame] and bool[media, time], each medium padded to the longest.

    Without media there is one frame, of `nothing`.
    """
    frames = np.array([count for one in decoded for count in one.frames] or [1])
    longest = int(frames.max())
    mask = np.arange(longest) < frames[:, np.newaxis]
    pixels = torch.empty(len(frames), longest, *nothing.shape, dtype=torch.uint8, pin_memory=pinned)
    table = pixels.numpy()
    table[~mask] = 0
    slots = iter(np.argwhere(mask))
    for picture in (picture for one in decoded for picture in one.pixels):
        medium, time = next(slots)
        table[medium, time] = picture
    for medium, time in slots:  # a batch without media
        table[medium, time] = nothing
    return pixels, torch.from_numpy(mask)


def _lay(rows: Sequence[Sequence[int]], values: Sequence[Ids], padding: int) -> torch.Tensor:
    """int64[rows, longest]: the samples' values, one behind the other in their rows."""
    lines = [np.concatenate([values[number] for number in row]) for row in rows]
    table = np.full((len(lines), max(map(len, lines))), padding, dtype=np.int64)
    for place, line in zip(table, lines, strict=True):
        place[: len(line)] = line
    return torch.from_numpy(table)
