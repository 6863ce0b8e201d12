"""Batches with blank pictures, and with those of other samples."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.batch import IGNORED, FlamingoBatch
from training.controls import blank, group_media, shuffle

MODEL: Any = SimpleNamespace(image_mean=(0.5, 0.0, 1.0), image_size=2)


def make_batch(rows: list[list[list[int]]]) -> FlamingoBatch:
    """Of rows of samples, each a list of the media that its tokens see; medium n is a picture filled with n."""
    width = max(sum(map(len, row)) for row in rows)
    pointers = [[medium for sample in row for medium in sample] for row in rows]
    places = [[place for place, sample in enumerate(row) for _ in sample] for row in rows]
    table, document = (
        torch.tensor([line + [-1] * (width - len(line)) for line in lines]) for lines in (pointers, places)
    )
    media = int(table.max()) + 1 or 1
    pixels = torch.arange(media, dtype=torch.uint8)[:, None, None, None, None].expand(media, 2, 3, 2, 2)
    return FlamingoBatch(
        input_ids=torch.zeros_like(table),
        attention_mask=document >= 0,
        media_index=table,
        pixels=pixels,
        frame_mask=torch.tensor([[True, medium % 2 == 0] for medium in range(media)]),
        labels=torch.zeros_like(table),
        document=document,
    )


def test_blank_pictures_have_the_mean_colour():
    batch = make_batch([[[0, 0, 1]]])
    found = blank(batch, MODEL)

    assert found.pixels.shape == (2, 2, 3, 2, 2)
    assert found.pixels[1, 1, :, 0, 1].tolist() == [128, 0, 255]
    assert found.frame_mask is batch.frame_mask
    assert found.labels is batch.labels


def test_each_sample_has_the_pictures_of_the_next():
    # Two samples share the first row; the third of the batch sees no picture.
    batch = make_batch([[[0, 1, 1], [2]], [[-1, -1]], [[3, 3, 4, 5]]])
    found = shuffle(batch)

    assert [group.tolist() for group in group_media(batch)] == [[0, 1], [2], [3, 4, 5]]
    assert found.pixels[:, 0, 0, 0, 0].tolist() == [2, 2, 3, 0, 1, 0]
    assert found.frame_mask.tolist() == [[True, medium % 2 == 0] for medium in (2, 2, 3, 0, 1, 0)]
    assert found.media_index is batch.media_index
    assert found.labels is batch.labels


def test_a_single_sample_has_nothing_to_be_shuffled_with():
    for rows in ([[[0, 1]]], [[[-1]], [[0]]], [[[-1]]]):
        assert set(shuffle(make_batch(rows)).labels.flatten().tolist()) == {IGNORED}


def test_rows_are_samples_where_nothing_is_packed():
    batch = dataclasses.replace(make_batch([[[0, 0]], [[1, 2]]]), document=None)
    assert [group.tolist() for group in group_media(batch)] == [[0], [1, 2]]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=4))
def test_no_sample_keeps_a_picture_of_its_own(sizes: list[list[int]]):
    numbers = iter(range(1000))
    rows = [[[next(numbers) for _ in range(size)] or [-1] for size in row] for row in sizes]
    batch = make_batch(rows)
    samples = [set(sample) for row in rows for sample in row if sample != [-1]]
    found = shuffle(batch).pixels[:, 0, 0, 0, 0].tolist()

    if len(samples) > 1:
        for sample in samples:
            assert not sample & {found[medium] for medium in sample}
