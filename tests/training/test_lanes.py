"""The order of samples: each once an epoch, the same for every number of workers, resumable anywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.lanes import EndlessOrder, order_epoch, permutation, rank_positions

shards = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)
lanes = st.sampled_from([1, 2, 8, 64])
lengths = st.integers(1, 12)


@given(shards, lanes, lengths, lengths, st.integers(0, 3))
def test_each_sample_comes_once_an_epoch(shards, lanes, block, window, epoch):
    samples = sum(shards)
    order = EndlessOrder(shards, seed=5, lanes=lanes, block=block, window=window)

    met = [order.at(position) for position in range(epoch * samples, (epoch + 1) * samples)]

    assert {number for number, _ in met} == {epoch}
    assert sorted(row for _, row in met) == list(range(samples))


@given(shards, lanes)
def test_lanes_are_equal_to_within_one_sample(shards, lanes):
    order = order_epoch(shards, seed=1, epoch=0, lanes=lanes)
    lane_lengths = [order.lane_length(lane) for lane in range(lanes)]

    assert sum(lane_lengths) == sum(shards)
    assert max(lane_lengths) - min(lane_lengths) <= 1


@given(st.integers(0, 30), st.integers(1, 12), st.integers(1, 7))
def test_ranks_share_a_global_batch_by_position(update, batch, world):
    start, stop = update * batch, (update + 1) * batch

    parts = [list(rank_positions(start, stop, rank, world)) for rank in range(world)]

    assert sorted(position for part in parts for position in part) == list(range(start, stop))
    assert all(position % world == rank for rank, part in enumerate(parts) for position in part)


def test_the_order_follows_from_the_seed_and_the_epoch_alone():
    def order(seed: int) -> list[int]:
        return [EndlessOrder([30, 20], seed=seed).at(position)[1] for position in range(100)]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1)[:50] != order(1)[50:]


def test_the_first_samples_of_a_known_seed():
    # Worked out once, by hand from the definition with 1 lane: blocks in this order, then windows of 2.
    blocks = [range(0, 2), range(2, 4), range(4, 5)]
    line = [row for block in permutation(3, 9, 0, 0) for row in blocks[block]]
    windows = [line[0:2], line[2:4], line[4:5]]
    expected = [window[i] for number, window in enumerate(windows) for i in permutation(len(window), 9, 0, 1, number)]

    order = EndlessOrder([4, 1], seed=9, lanes=1, block=2, window=2)

    assert [order.at(position)[1] for position in range(5)] == expected


def test_permutations_never_change():
    # Frozen: another order here would give every run that is continued other samples.
    assert permutation(8, 3, 1, 4).tolist() == [2, 5, 3, 4, 7, 6, 0, 1]


def test_blocks_of_shards_are_dealt_over_all_lanes():
    order = order_epoch([1000, 1000], seed=0, epoch=0, lanes=8, block=50, window=10_000)
    lane = order.lane_window(3, 0)

    assert len(lane) == 250
    assert len({int(row) // 50 for row in lane}) in (5, 6)


@given(shards, lanes, lengths, st.integers(1, 9), st.integers(1, 6), st.integers(0, 9), st.integers(1, 6))
def test_any_world_size_sees_the_order_from_any_stop_point(shards, lanes, window, batch, world, stop, new_world):
    order = EndlessOrder(shards, seed=3, lanes=lanes, window=window)
    updates = 12
    undisturbed = [order.at(position) for position in range(updates * batch)]

    def seen(update: int, world: int) -> dict[int, tuple[int, int]]:
        fresh = EndlessOrder(shards, seed=3, lanes=lanes, window=window)
        start, stop = update * batch, (update + 1) * batch
        return {p: fresh.at(p) for rank in range(world) for p in rank_positions(start, stop, rank, world)}

    parts = [seen(update, world if update < stop else new_world) for update in range(updates)]
    assert [part[position] for part in parts for position in sorted(part)] == undisturbed


@pytest.mark.parametrize("seed", range(10))
def test_the_order_hardly_follows_that_of_the_shards(seed):
    """What is left of the shards' order is chance: of b shuffled blocks, a rank correlation of about 1 / sqrt(b)."""
    shard_documents, blocks = [1000] * 100, 100 * 4
    order = EndlessOrder(shard_documents, seed=seed)
    rows = np.array([order.at(position)[1] for position in range(100_000)])

    # Of numbers that each occur once, the rank correlation is the plain one.
    assert abs(np.corrcoef(rows, np.arange(100_000))[0, 1]) < 4 / np.sqrt(blocks)
    # Neighbours come from different lanes: hardly more often of one shard than if all samples were drawn evenly.
    assert np.mean(np.diff(rows // 1000) == 0) < 0.02


@given(shards, lanes, st.integers(0, 300))
def test_the_next_of_a_lane_is_deeper_in_the_same_lane(shards, lanes, position):
    order = EndlessOrder(shards, seed=0, lanes=lanes)
    samples = sum(shards)

    following = order.next_in_lane(position)

    assert following > position
    assert following % samples % lanes == position % samples % lanes


def test_no_documents_are_refused():
    with pytest.raises(ValueError, match="hold no documents"):
        order_epoch([0, 0], seed=0, epoch=0)


def test_lanes_must_be_a_power_of_two():
    with pytest.raises(ValueError, match="lanes is 6; it must be a power of two"):
        order_epoch([3], seed=0, epoch=0, lanes=6)
