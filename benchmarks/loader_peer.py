"""What the loader is measured against: a plain webdataset pipeline, and the decoding of JPEGs alone.

Both decode with Pillow in draft mode, and make pictures smaller by its bicubic filter into uint8 RGB on the mean
colour, as the loader does from what it decodes.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import webdataset
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader

from model.batch import FlamingoBatch
from shards.document import Frame
from shards.schema import decode_document
from training.data.chance import Chance
from training.data.collate import DecodedSample, collate
from training.data.maker import SampleMaker
from training.data.pictures import Canvas, empty_square, fitted_size
from training.data.sampling import make_sample

SHUFFLED = 100
"""Samples among which webdataset shuffles; each is held with all of its pictures."""


def draft_decode(data: bytes, side: int) -> NDArray[np.uint8]:
    """uint8[height, width, 3] of a JPEG, its longer side `side`."""
    image = Image.open(io.BytesIO(data))
    size = fitted_size(image.size, side)
    image.draft("RGB", size)
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))


def webdataset_batches(shards: Sequence[str], maker: SampleMaker, batch: int, workers: int) -> Iterator[FlamingoBatch]:
    """The same windows, placed the same, in webdataset's own order, from a DataLoader with `workers` processes."""
    pipeline = (
        webdataset.WebDataset(list(shards), shardshuffle=len(shards), empty_check=False)
        .repeat()
        .shuffle(SHUFFLED)
        .map(_decode_with(maker))
        .batched(batch, collation_fn=_collate_with(maker), partial=False)
    )
    return iter(DataLoader(pipeline, batch_size=None, num_workers=workers))


def _decode_with(maker: SampleMaker) -> Callable[[Mapping[str, Any]], DecodedSample]:
    def decode(record: Mapping[str, Any]) -> DecodedSample:
        key = record["__key__"]
        members = {f"{key}.{suffix}": data for suffix, data in record.items() if suffix.endswith("jpg")}
        document = decode_document(record["json"], members, key)
        chance = Chance(seed=maker.seed, key=key, epoch=0)
        sample = make_sample(document, maker.rule, maker.vocabulary, chance)
        pixels = np.stack([_square(frame, maker.canvas) for medium in sample.media for frame in medium])
        return DecodedSample(sample=sample, frames=tuple(len(medium) for medium in sample.media), pixels=pixels)

    return decode


def _collate_with(maker: SampleMaker) -> Callable[[Sequence[DecodedSample]], FlamingoBatch]:
    torch.set_num_threads(1)
    return lambda samples: collate(samples, maker.canvas, maker.vocabulary.pad)


def _square(frame: Frame, canvas: Canvas) -> NDArray[np.uint8]:
    picture = draft_decode(frame.data, canvas.size)
    square = empty_square(canvas).copy()
    top, left = (canvas.size - picture.shape[0]) // 2, (canvas.size - picture.shape[1]) // 2
    square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return square
