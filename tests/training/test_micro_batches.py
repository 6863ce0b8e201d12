"""Parts of a batch: the same loss and gradients, whatever its rows are cut into."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from gates import open_gates

from model.flamingo import Flamingo, FlamingoBatch, FlamingoConfig
from training.micro_batches import count_micro_batches, split_batch


@pytest.fixture(scope="module")
def flamingo(backbones: FlamingoConfig) -> Flamingo:
    """In float64, with its gates half open."""
    torch.manual_seed(3)
    return open_gates(Flamingo.from_backbones(backbones).double())


def make_batch(packed: bool = False) -> FlamingoBatch:
    """Eight rows of different lengths, seven media of one to three frames; one row sees none."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([9, 4, 7, 2, 9, 5, 3, 6])
    places = torch.arange(9)
    mask = places < lengths[:, None]
    ids = torch.randint(4, 16, (8, 9), generator=generator)
    media = torch.tensor([0, 1, 2, -1, 3, 4, 5, 6])[:, None].expand(8, 9)
    document = torch.where(mask, (places >= 2).long(), -1)
    return FlamingoBatch(
        input_ids=torch.where(mask, ids, 2),
        attention_mask=mask,
        media_index=torch.where(mask & (places > 0), media, -1),
        pixels=torch.randint(0, 256, (7, 3, 3, 16, 16), dtype=torch.uint8, generator=generator),
        frame_mask=torch.arange(3) < torch.tensor([1, 2, 1, 3, 1, 1, 2])[:, None],
        labels=torch.where(mask, ids, -100),
        document=document if packed else None,
    )


def loss_and_gradients(flamingo: Flamingo, batches: Sequence[FlamingoBatch], tokens: int) -> list[torch.Tensor]:
    flamingo.zero_grad()
    losses = [flamingo(batch, loss=True) / tokens for batch in batches]
    for loss in losses:
        loss.backward()
    gradients = [parameter.grad for parameter in flamingo.trained_parameters()]
    return [torch.stack([loss.detach() for loss in losses]).sum(), *(g.clone() for g in gradients if g is not None)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 8, 10])
def test_the_gradients_are_those_of_the_whole_batch(flamingo: Flamingo, parts: int, packed: bool):
    batch = make_batch(packed)
    tokens = int((batch.targets != -100).sum())
    expected = loss_and_gradients(flamingo, [batch], tokens)

    found = loss_and_gradients(flamingo, split_batch(batch, parts), tokens)

    assert expected[0] > 1
    assert len(found) == len(expected) > 10
    for value, whole in zip(found, expected, strict=True):
        torch.testing.assert_close(value, whole, rtol=1e-10, atol=1e-13)


def test_a_part_is_as_wide_as_its_longest_row_and_holds_its_media_alone():
    parts = split_batch(make_batch(), 4)

    assert [part.input_ids.shape for part in parts] == [(2, 9), (2, 7), (2, 9), (2, 6)]
    assert [part.pixels.shape[:2] for part in parts] == [(2, 2), (1, 1), (2, 3), (2, 2)]
    assert [part.media_index.unique().tolist() for part in parts] == [[-1, 0, 1], [-1, 0], [-1, 0, 1], [-1, 0, 1]]


def test_what_is_left_over_trains_on_nothing():
    batch = make_batch()
    few = dataclasses.replace(
        batch, **{name: getattr(batch, name)[:1] for name in ("input_ids", "attention_mask", "media_index", "labels")}
    )
    silent, whole = split_batch(few, 2)

    assert (silent.targets != -100).sum() == 0
    assert silent.input_ids.shape == (1, 1)
    assert silent.media_index.tolist() == [[-1]]
    assert torch.equal(whole.input_ids, few.input_ids)


@pytest.mark.parametrize(
    ("batch", "workers", "micro_batch", "parts"),
    [(8, 1, 0, 1), (8, 1, 8, 1), (8, 2, 2, 2), (8, 3, 2, 2), (5, 2, 1, 3), (1, 2, 4, 1), (9, 2, 4, 2)],
)
def test_every_worker_makes_as_many_parts(batch: int, workers: int, micro_batch: int, parts: int):
    assert count_micro_batches(batch, workers, micro_batch) == parts
