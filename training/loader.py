"""One dataset as one rank reads it: batches in the order that `training.lanes` lays down, from any position on.

The state is one number, how many samples the dataset has given to all ranks together.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from model.flamingo import FlamingoBatch
from shards.dataset import Dataset
from shards.document import Document
from shards.errors import DatasetError
from training.collate import BadMedia, Canvas, DecodedSample, collate, decode_sample
from training.lanes import EndlessOrder, rank_positions
from training.sampling import Chance, SamplingRule, Vocabulary, make_sample

Item = TypeVar("Item")
BAD_SAMPLES_WINDOW = 10_000
"""Bad samples are held against a bound for each so many samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBatch:
    """A rank's part of one global batch."""

    batch: FlamingoBatch
    keys: tuple[str, ...]
    """Of the documents, in order; empty where the rank has no part in this batch."""
    bad: Mapping[str, int]
    """Samples that this rank has passed over since its loader was made, by reason."""


class Loader:
    """Reads samples of one dataset by their position in its endless order."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        rule: SamplingRule,
        vocabulary: Vocabulary,
        canvas: Canvas,
        seed: int,
        max_bad_samples: int,
    ) -> None:
        """`max_bad_samples` is how many of every 10,000 samples may be bad before training stops.

        Raises DatasetError if an index is missing or disagrees with the manifest.
        """
        self.dataset = dataset
        self.rule, self.vocabulary, self.canvas = rule, vocabulary, canvas
        self.seed = seed
        self.max_bad_samples = max_bad_samples
        self.given, self.bad = 0, Counter[str]()
        self.order = EndlessOrder([shard.documents for shard in dataset.manifest.shards], seed=seed)
        index = dataset.index()
        self.names = [shard.name for shard in dataset.manifest.shards]
        self.shards = np.repeat(np.arange(len(self.names)), [shard.documents for shard in dataset.manifest.shards])
        self.offsets, self.sizes = index.column("offset").to_numpy(), index.column("size").to_numpy()

    def batches(self, *, start: int, batch: int, rank: int, world: int) -> Iterator[LoadedBatch]:
        """This rank's part of the global batches of `batch` samples from position `start` on, without end.

        Raises DatasetError if a shard is cut or missing, or too many samples are bad.
        """
        while True:
            decoded = [self._good_sample(i) for i in rank_positions(start, start + batch, rank, world)]
            self.given += len(decoded)
            yield LoadedBatch(
                batch=collate(decoded, self.canvas, self._pad),
                keys=tuple(one.sample.key for one in decoded),
                bad=dict(self.bad),
            )
            start += batch

    def read(self, row: int) -> Document:
        """The document of that row of the index."""
        return self.dataset.read(self.names[self.shards[row]], int(self.offsets[row]), int(self.sizes[row]))

    @property
    def _pad(self) -> int:
        pad = self.vocabulary.tokenizer.pad_token_id
        assert isinstance(pad, int)
        return pad

    def _good_sample(self, position: int) -> DecodedSample:
        """The sample at `position`, or the next good one of its lane, which keeps its own turn too."""
        while True:
            epoch, row = self.order.at(position)
            document = self.read(row)
            chance = Chance(seed=self.seed, key=document.key, epoch=epoch)
            try:
                return decode_sample(make_sample(document, self.rule, self.vocabulary, chance), self.canvas)
            except BadMedia as reason:
                self._pass_over(str(reason))
                position = self.order.next_in_lane(position)

    def _pass_over(self, reason: str) -> None:
        """Counts a bad sample. Raises DatasetError at the first too many."""
        self.bad[reason] += 1
        allowed = self.max_bad_samples * (1 + self.given // BAD_SAMPLES_WINDOW)
        if self.bad.total() > allowed:
            reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(self.bad.items()))
            raise DatasetError(
                f"{self.dataset.location} gave {self.bad.total()} bad samples ({reasons}) beside {self.given} good "
                f"ones and at most {allowed} are allowed; make the dataset again, or raise max_bad_samples"
            )


def prefetched(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one made in a thread while the caller works on the last. `items` must not end."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        ahead = thread.submit(next, items)
        while True:
            item = ahead.result()
            ahead = thread.submit(next, items)
            yield item
