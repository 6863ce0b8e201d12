"""Samples to batches: pictures in squares, offsets of media, padding."""

import io

import numpy as np
import pytest
from PIL import Image
from squares import COLOURS, picture

from shards.document import Frame
from training.collate import BadMedia, Canvas, collate, decode_sample
from training.sampling import Sample

CANVAS = Canvas(size=8, mean=(0.5, 0.25, 0.0))


def sample(*media: tuple[Frame, ...], text: int = 3) -> Sample:
    ids = np.arange(text, dtype=np.int64)
    index = np.full(text, len(media) - 1, dtype=np.int64)
    return Sample(key="k", input_ids=ids, media_index=index, labels=ids, media=media)


def test_a_picture_keeps_its_aspect_on_the_mean_colour():
    wide = decode_sample(sample((picture("red", (40, 20)),)), CANVAS).pixels[0]

    assert wide.shape == (1, 3, 8, 8)
    assert wide[0, :, 4, 4].tolist() == list(COLOURS["red"])
    assert wide[0, :, 0, 4].tolist() == [128, 64, 0]


def test_texts_and_media_of_a_batch():
    decoded = [
        decode_sample(sample((picture("red"),), (picture("blue"),), text=4), CANVAS),
        decode_sample(sample(text=2), CANVAS),
        decode_sample(sample((picture("green"), picture("blue"))), CANVAS),
    ]

    batch = collate(decoded, CANVAS, pad=9)

    assert batch.input_ids.tolist() == [[0, 1, 2, 3], [0, 1, 9, 9], [0, 1, 2, 9]]
    assert batch.attention_mask.tolist() == [[True] * 4, [True, True, False, False], [True] * 3 + [False]]
    assert batch.media_index.tolist() == [[1] * 4, [-1] * 4, [2, 2, 2, -1]]
    assert batch.labels.tolist() == [[0, 1, 2, 3], [0, 1, -100, -100], [0, 1, 2, -100]]
    assert batch.pixels.shape == (3, 2, 3, 8, 8)
    assert batch.frame_mask.tolist() == [[True, False], [True, False], [True, True]]
    assert batch.pixels[2, 1, :, 4, 4].tolist() == list(COLOURS["blue"])


def test_a_batch_without_media_has_a_dummy_that_nobody_sees():
    batch = collate([decode_sample(sample(), CANVAS)], CANVAS, pad=9)

    assert batch.media_index.tolist() == [[-1, -1, -1]]
    assert batch.pixels.shape == (1, 1, 3, 8, 8)
    assert batch.pixels[0, 0, :, 0, 0].tolist() == [128, 64, 0]


def test_a_rank_without_samples_has_a_text_that_is_not_trained_on():
    batch = collate([], CANVAS, pad=9)

    assert batch.input_ids.tolist() == [[9]]
    assert batch.attention_mask.tolist() == [[True]]
    assert batch.labels.tolist() == [[-100]]


def broken(data: bytes) -> Frame:
    return Frame(data=data, format="png", width=1, height=1)


@pytest.mark.parametrize("data", [b"", b"no picture", picture("red").data[:60]])
def test_a_picture_that_cannot_be_decoded(data):
    with pytest.raises(BadMedia, match=r"^picture_undecodable$"):
        decode_sample(sample((broken(data),)), CANVAS)


def test_a_picture_with_too_many_pixels_is_not_decoded():
    data = io.BytesIO()
    Image.new("1", (9000, 8000)).save(data, "PNG")

    with pytest.raises(BadMedia, match=r"^picture_too_large$"):
        decode_sample(sample((broken(data.getvalue()),)), CANVAS)
