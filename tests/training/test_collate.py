"""Samples to batches: rows of text, offsets of media, padding, packing."""

import dataclasses

import numpy as np
import pytest
import torch
from gates import open_gates
from hypothesis import given
from hypothesis import strategies as st
from squares import COLOURS, picture

from model.flamingo import Flamingo, FlamingoConfig
from model.loss import token_loss
from shards.document import Frame
from training.data.appearance import UNCHANGED
from training.data.collate import DecodedSample, collate
from training.data.packing import pack_rows
from training.data.pictures import Canvas, draw
from training.data.sampling import Sample

CANVAS = Canvas(size=8, mean=(0.5, 0.25, 0.0))


def decoded(*media: tuple[Frame, ...], text: int = 3, canvas: Canvas = CANVAS, first_id: int = 0) -> DecodedSample:
    """A sample of `text` tokens, all of which but the first are trained on and see its last medium."""
    frames = [frame for medium in media for frame in medium]
    pixels = np.empty((len(frames), canvas.size, canvas.size, 3), dtype=np.uint8)
    for frame, square in zip(frames, pixels, strict=True):
        draw(frame, canvas, UNCHANGED, square)
    sample = Sample(
        key="k",
        input_ids=np.arange(first_id, first_id + text, dtype=np.int64),
        media_index=np.full(text, len(media) - 1, dtype=np.int64),
        trained=np.arange(text) > 0,
        attends_next=False,
        media=(),
    )
    return DecodedSample(sample=sample, frames=tuple(len(medium) for medium in media), pixels=pixels)


def test_texts_and_media_of_a_batch():
    samples = [
        decoded((picture("red"),), (picture("blue"),), text=4),
        decoded(text=2),
        decoded((picture("green"), picture("blue"))),
    ]

    batch = collate(samples, CANVAS, pad=9)

    assert batch.input_ids.tolist() == [[0, 1, 2, 3], [0, 1, 9, 9], [0, 1, 2, 9]]
    assert batch.attention_mask.tolist() == [[True] * 4, [True, True, False, False], [True] * 3 + [False]]
    assert batch.media_index.tolist() == [[1] * 4, [-1] * 4, [2, 2, 2, -1]]
    assert batch.labels.tolist() == [[-100, 1, 2, 3], [-100, 1, -100, -100], [-100, 1, 2, -100]]
    assert batch.document is None
    assert batch.pixels.shape == (3, 2, 3, 8, 8)
    assert batch.frame_mask.tolist() == [[True, False], [True, False], [True, True]]
    assert batch.pixels[2, 1, :, 4, 4].tolist() == list(COLOURS["blue"])
    assert not batch.pixels[0, 1].any()


def test_a_batch_without_media_has_a_dummy_that_nobody_sees():
    batch = collate([decoded()], CANVAS, pad=9)

    assert batch.media_index.tolist() == [[-1, -1, -1]]
    assert batch.pixels.shape == (1, 1, 3, 8, 8)
    assert batch.pixels[0, 0, :, 0, 0].tolist() == [128, 64, 0]


def test_a_rank_without_samples_has_a_text_that_is_not_trained_on():
    batch = collate([], CANVAS, pad=9)

    assert batch.input_ids.tolist() == [[9]]
    assert batch.attention_mask.tolist() == [[True]]
    assert batch.labels.tolist() == [[-100]]


def test_short_samples_share_rows():
    samples = [
        decoded((picture("red"),), text=3),
        decoded((picture("blue"),), text=4),
        decoded((picture("green"),), text=2),
    ]

    batch = collate(samples, CANVAS, pad=9, row_tokens=6)

    assert batch.input_ids.tolist() == [[0, 1, 2, 3, 0, 1], [0, 1, 2, 9, 9, 9]]
    assert batch.media_index.tolist() == [[1, 1, 1, 1, 2, 2], [0, 0, 0, -1, -1, -1]]
    assert batch.labels.tolist() == [[-100, 1, 2, 3, -100, 1], [-100, 1, 2, -100, -100, -100]]
    assert batch.document is not None
    assert batch.document.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, -1, -1, -1]]
    assert batch.pixels[:, 0, :, 4, 4].tolist() == [list(COLOURS[name]) for name in ("red", "blue", "green")]


@given(st.lists(st.integers(1, 12), max_size=20), st.integers(1, 16))
def test_rows_hold_each_sample_once_and_are_long_enough(lengths, row_tokens):
    rows = pack_rows(lengths, row_tokens)

    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    for row in rows:
        assert len(row) == 1 or sum(lengths[number] for number in row) <= row_tokens
    # Of two rows at most one is half empty, or they would have been one.
    assert sum(2 * sum(lengths[number] for number in row) <= row_tokens for row in rows) <= 1


@pytest.fixture(scope="module")
def seeing(backbones: FlamingoConfig) -> Flamingo:
    """A Flamingo in double precision whose gates are open, so that what a token sees shows in its loss."""
    torch.manual_seed(0)
    return open_gates(Flamingo.from_backbones(backbones).double(), 0.7)


def test_packing_changes_no_loss(seeing: Flamingo):
    canvas = Canvas(size=seeing.image_size, mean=seeing.image_mean)
    colours = ["red", "green", "blue", "yellow", "red"]
    samples = [
        decoded((picture(colour),), text=text, canvas=canvas, first_id=4 + number)
        for number, (colour, text) in enumerate(zip(colours, (3, 6, 2, 5, 4), strict=True))
    ]

    with torch.no_grad():
        apart, packed = (collate(samples, canvas, pad=2, row_tokens=row_tokens) for row_tokens in (0, 12))
        (loss, tokens), (packed_loss, packed_tokens) = (
            token_loss(seeing(batch), batch.targets) for batch in (apart, packed)
        )

    assert packed.input_ids.shape == (2, 11)
    assert tokens == packed_tokens == 15
    assert packed_loss.item() == pytest.approx(loss.item(), rel=1e-12)
    one_text = dataclasses.replace(packed, document=None)
    with torch.no_grad():
        mixed, _ = token_loss(seeing(one_text), one_text.targets)
    assert mixed.item() != pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU to copy to")
def test_a_batch_for_a_gpu_lies_in_pinned_memory():
    samples = [decoded((picture("red"),), text=3), decoded(text=2)]
    apart, pinned = (collate(samples, CANVAS, pad=9, row_tokens=6, pinned=pinned) for pinned in (False, True))

    for field in dataclasses.fields(pinned):
        assert getattr(pinned, field.name).is_pinned()
        assert getattr(pinned, field.name).equal(getattr(apart, field.name))
    assert pinned.to("cuda").pixels.cpu().equal(apart.pixels)
