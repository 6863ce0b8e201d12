"""The order of samples: a pure function of the seed, the epoch, and how many documents each shard holds.

An epoch's rows (documents, numbered through all shards in the manifest's order) are cut into blocks of consecutive
rows of one shard. The blocks are shuffled and laid end to end, and that line is cut into lanes of equal length (to
within one sample), each of which shuffles within consecutive windows. Sample i of the epoch lies in lane i mod L at
depth i div L. Nothing of this depends on how many workers there are, and no array is as long as the epoch: a window
is worked out when it is asked for.

Permutations come from sorting raw PCG64 output, a stream that numpy promises never to change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LANES = 64
BLOCK = 256
"""Consecutive samples of a shard that stay together until the lane's window shuffles them."""
WINDOW = 1024
"""Samples of one lane within which a lane shuffles."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochOrder:
    """The order of one epoch; `lane_window` computes a piece of it."""

    seed: int
    epoch: int
    lanes: int
    window: int
    first_rows: Rows
    """int64[blocks]: the first row of each block, blocks in shuffled order."""
    block_ends: Rows
    """int64[blocks]: how many samples the line holds up to the end of each block."""

    @property
    def samples(self) -> int:
        return int(self.block_ends[-1])

    def lane_length(self, lane: int) -> int:
        return self.samples // self.lanes + (lane < self.samples % self.lanes)

    def lane_window(self, lane: int, number: int) -> Rows:
        """int64[at most window]: the rows at depths number * window onwards of `lane`."""
        start = number * self.window
        stop = min(start + self.window, self.lane_length(lane))
        rows = self._line(self._lane_start(lane) + np.arange(start, stop))
        return rows[permutation(len(rows), self.seed, self.epoch, 1 + lane, number)]

    def _lane_start(self, lane: int) -> int:
        return lane * (self.samples // self.lanes) + min(lane, self.samples % self.lanes)

    def _line(self, positions: Rows) -> Rows:
        """int64[n]: the rows at `positions` of the line of shuffled blocks."""
        block = np.searchsorted(self.block_ends, positions, side="right")
        block_starts = np.where(block > 0, self.block_ends[block - 1], 0)
        return self.first_rows[block] + positions - block_starts


def order_epoch(
    shard_documents: Sequence[int],
    *,
    seed: int,
    epoch: int,
    lanes: int = LANES,
    block: int = BLOCK,
    window: int = WINDOW,
) -> EpochOrder:
    """The order of epoch number `epoch` over shards that hold `shard_documents` documents each.

    Blocks are shortened where needed so that there are at least as many as lanes. Takes 32 bytes for each of them, and
    as much again while it is made. Raises ValueError if there are no documents or `lanes` is not a power of two.
    """
    samples = sum(shard_documents)
    if samples == 0:
        raise ValueError("the shards hold no documents, so there is no order to give")
    if lanes < 1 or lanes & (lanes - 1):
        raise ValueError(f"lanes is {lanes}; it must be a power of two")
    first_rows, lengths = _blocks(shard_documents, max(1, min(block, samples // lanes)))
    shuffled = permutation(len(lengths), seed, epoch, 0)
    return EpochOrder(
        seed=seed,
        epoch=epoch,
        lanes=lanes,
        window=window,
        first_rows=first_rows[shuffled],
        block_ends=np.cumsum(lengths[shuffled]),
    )


def permutation(length: int, *key: int) -> Rows:
    """int64[length]: the numbers 0 ... length - 1 in an order that `key` alone decides."""
    bits = np.random.PCG64(np.random.SeedSequence(key)).random_raw(length)
    return np.argsort(bits, kind="stable")


class EndlessOrder:
    """Epoch after epoch, each in an order of its own: position p is sample p mod n of epoch p div n."""

    def __init__(
        self,
        shard_documents: Sequence[int],
        *,
        seed: int,
        lanes: int = LANES,
        block: int = BLOCK,
        window: int = WINDOW,
    ) -> None:
        """Takes what `order_epoch` takes. Keeps in memory the windows of two epochs that were asked for last."""
        self.samples = sum(shard_documents)
        self.lanes = lanes
        self.window = window

        @lru_cache(maxsize=2)
        def order(epoch: int) -> EpochOrder:
            return order_epoch(shard_documents, seed=seed, epoch=epoch, lanes=lanes, block=block, window=window)

        @lru_cache(maxsize=2 * lanes)
        def lane_window(epoch: int, lane: int, number: int) -> Rows:
            return order(epoch).lane_window(lane, number)

        self._lane_window = lane_window

    def at(self, position: int) -> tuple[int, int]:
        """The epoch, and the row of the document, at `position`."""
        epoch, sample = divmod(position, self.samples)
        number, place = divmod(sample // self.lanes, self.window)
        return epoch, int(self._lane_window(epoch, sample % self.lanes, number)[place])

    def next_in_lane(self, position: int) -> int:
        """The position behind `position` in its lane; after the last, the lane's first in the next epoch."""
        epoch, sample = divmod(position, self.samples)
        if sample + self.lanes < self.samples:
            return position + self.lanes
        return (epoch + 1) * self.samples + sample % self.lanes


def rank_positions(start: int, stop: int, rank: int, world: int) -> range:
    """Those positions of start ... stop - 1 that are `rank` modulo `world`: the rank's part of a global batch."""
    return range(start + (rank - start) % world, stop, world)


def _blocks(shard_documents: Sequence[int], block: int) -> tuple[Rows, Rows]:
    """Two int64[blocks]: the first row and the length of each block, in order; no block spans two shards."""
    counts = np.asarray(shard_documents, dtype=np.int64)
    blocks = -(-counts // block)
    shard = np.repeat(np.arange(len(counts)), blocks)
    number = np.arange(blocks.sum()) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    shard_starts = np.cumsum(counts) - counts
    return shard_starts[shard] + number * block, np.minimum(block, counts[shard] - number * block)
