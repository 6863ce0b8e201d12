"""From samples to a batch: pictures decoded into squares, texts padded to the longest."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.flamingo import FlamingoBatch
from model.image import fit
from model.loss import IGNORED
from shards.document import Frame
from training.sampling import Sample

MAX_PIXELS = 64_000_000
"""Of an encoded picture; more are not decoded."""

Pixels = NDArray[np.uint8]


class BadMedia(Exception):
    """A picture of the sample cannot be used; the message is the reason under which it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The square that every picture is fitted into."""

    size: int
    """Its side in pixels."""
    mean: tuple[float, float, float]
    """Its colour around the picture, red, green and blue in 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSample:
    """A sample and its pictures."""

    sample: Sample
    pixels: tuple[Pixels, ...]
    """One uint8[time, 3, size, size] for each of the sample's media."""


def decode_sample(sample: Sample, canvas: Canvas) -> DecodedSample:
    """Decodes the sample's media. Raises BadMedia at the first that cannot be decoded."""
    pixels = tuple(np.stack([_decode(frame, canvas) for frame in frames]) for frames in sample.media)
    return DecodedSample(sample=sample, pixels=pixels)


def collate(decoded: Sequence[DecodedSample], canvas: Canvas, pad: int) -> FlamingoBatch:
    """One batch of the samples, in order; `pad` is the id that stands where a row has no token.

    Without media there is one row of the mean colour that no token attends to; without samples there is one text of
    one token that nothing is trained on.
    """
    decoded = decoded or [_blank(pad)]
    samples = [one.sample for one in decoded]
    media_counts = [len(one.pixels) for one in decoded]
    first_media = np.cumsum([0, *media_counts[:-1]])
    media_index = [
        np.where(sample.media_index < 0, -1, sample.media_index + first)
        for sample, first in zip(samples, first_media, strict=True)
    ]
    pixels, frame_mask = _stack_media([one for sample in decoded for one in sample.pixels], canvas)
    return FlamingoBatch(
        input_ids=_pad([sample.input_ids for sample in samples], pad),
        attention_mask=_pad([np.ones_like(sample.input_ids) for sample in samples], 0).bool(),
        media_index=_pad(media_index, -1),
        pixels=pixels,
        frame_mask=frame_mask,
        labels=_pad([sample.labels for sample in samples], IGNORED),
    )


def _blank(pad: int) -> DecodedSample:
    """A sample of one token that is attended to, since attention over nothing is not a number, but not trained on."""
    ids, ignored, none = (np.array([value], dtype=np.int64) for value in (pad, IGNORED, -1))
    return DecodedSample(sample=Sample(key="", input_ids=ids, media_index=none, labels=ignored, media=()), pixels=())


def _decode(frame: Frame, canvas: Canvas) -> Pixels:
    """uint8[3, size, size]."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
            with Image.open(io.BytesIO(frame.data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadMedia("picture_too_large")
                return fit(ImageOps.exif_transpose(image), canvas.size, canvas.mean)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadMedia("picture_undecodable") from None


def _stack_media(media: Sequence[Pixels], canvas: Canvas) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8[media, time, 3, size, size] and bool[media, time], each medium padded to the longest."""
    if not media:
        transparent = Image.new("RGBA", (1, 1))
        media = [fit(transparent, canvas.size, canvas.mean)[np.newaxis]]
    longest = max(len(one) for one in media)
    pixels = np.zeros((len(media), longest, *media[0].shape[1:]), dtype=np.uint8)
    mask = np.zeros((len(media), longest), dtype=np.bool_)
    for row, one in enumerate(media):
        pixels[row, : len(one)] = one
        mask[row, : len(one)] = True
    return torch.from_numpy(pixels), torch.from_numpy(mask)


def _pad(rows: Sequence[NDArray[np.int64]], value: int) -> torch.Tensor:
    """int64[rows, longest]."""
    table = np.full((len(rows), max(len(row) for row in rows)), value, dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(table)
