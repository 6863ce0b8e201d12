"""One dataset as a stream of requests: which document stands at a position of its endless order, and where it lies.

A position whose sample cannot be used is given to the next good sample of its lane, which keeps its own turn too, so
nothing behind it moves. That is counted, and bounded.
"""

import logging
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from shards.dataset import Dataset
from shards.errors import DatasetError, ShardError
from training.data.lanes import EndlessOrder
from training.data.pictures import TOO_LARGE, UNDECODABLE, BadMedia

BAD_SAMPLES_WINDOW = 10_000
"""Bad samples are held against their bound over so many samples."""
OPEN_INDEXES = 512
"""Shards whose rows are kept in memory: more than the windows of 64 lanes have blocks."""
SHARD_SKIPPED = "shard_skipped"
DOCUMENT_UNREADABLE = "document_unreadable"
DECODER_DIED = "decoder_died"
REASONS = (TOO_LARGE, UNDECODABLE, DOCUMENT_UNREADABLE, SHARD_SKIPPED, DECODER_DIED)
"""Why a sample may be passed over."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One sample to be made."""

    dataset: str
    """Its name in the mixture."""
    position: int
    """Of the document in the endless order."""
    epoch: int
    shard: str
    offset: int
    """Of the document's first byte in the shard's tar."""
    size: int
    """Of the document in the tar, in bytes."""
    passed_over: tuple[str, ...] = ()
    """Why the documents could not be used whose place this one takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What may be bad before training stops."""

    bad_samples: int
    """Samples of any `BAD_SAMPLES_WINDOW` that follow each other in this worker."""
    bad_shards: int
    """Shards of the dataset, as this worker meets them."""


class Source:
    """Gives requests by position, and counts what is passed over."""

    def __init__(self, name: str, dataset: Dataset, *, seed: int, tolerance: Tolerance) -> None:
        """Raises DatasetError if the dataset holds no documents. Reads no index yet."""
        shards = dataset.manifest.shards
        if dataset.manifest.documents == 0:
            raise DatasetError(f"dataset {name} in {dataset.location} holds no documents to train on")
        self.name, self.dataset, self.tolerance = name, dataset, tolerance
        self.shards = [shard.name for shard in shards]
        self.order = EndlessOrder([shard.documents for shard in shards], seed=seed)
        self.given, self.bad = 0, Counter[str]()
        self.bad_shards = set[str]()
        self._unusable = dict[str, ShardError]()
        self._first_rows = np.cumsum([0, *(shard.documents for shard in shards)])
        self._rows = lru_cache(maxsize=OPEN_INDEXES)(dataset.shard_rows)
        self._recently_bad = deque[int]()

    def request(self, position: int, passed_over: tuple[str, ...] = ()) -> Request:
        """The sample at `position`, or the next of its lane that lies in a shard that can be used.

        Raises ShardError at the first shard too many that cannot be.
        """
        skipped = 0
        while skipped <= self.order.samples:
            epoch, row = self.order.at(position)
            try:
                shard, offset, size = self._place(row)
            except ShardError as error:
                self._tolerate(error)
                skipped, position = skipped + 1, self.order.next_in_lane(position)
                continue
            return Request(
                dataset=self.name,
                position=position,
                epoch=epoch,
                shard=shard,
                offset=offset,
                size=size,
                passed_over=(*passed_over, *[SHARD_SKIPPED] * skipped),
            )
        raise DatasetError(f"no shard of dataset {self.name} in {self.dataset.location} can be used")

    def replace(self, request: Request, error: Exception) -> Request:
        """The request that takes the place of one that failed with `error`.

        Raises the error itself if it is none that a run may go on after, and DatasetError if too many samples are bad.
        """
        match error:
            case BadMedia():
                reason = str(error)
            case ShardError():
                self._tolerate(error)
                reason = DOCUMENT_UNREADABLE
            case _:
                raise error
        passed_over = (*request.passed_over, reason)
        if sum(reason != SHARD_SKIPPED for reason in passed_over) > self.tolerance.bad_samples:
            self._stop(Counter(passed_over))
        return self.request(self.order.next_in_lane(request.position), passed_over)

    def give(self, request: Request) -> None:
        """Counts a sample that this worker is given, in order, and what was passed over for it.

        Raises DatasetError if too many of the last `BAD_SAMPLES_WINDOW` samples were bad.
        """
        self.given += 1
        self.bad.update(request.passed_over)
        self._recently_bad.extend(self.given for reason in request.passed_over if reason != SHARD_SKIPPED)
        while self._recently_bad and self._recently_bad[0] <= self.given - BAD_SAMPLES_WINDOW:
            self._recently_bad.popleft()
        if len(self._recently_bad) > self.tolerance.bad_samples:
            self._stop(self.bad)

    def describe(self, request: Request) -> str:
        """The request's document by its key and place, for a person."""
        try:
            key = self.dataset.read(request.shard, request.offset, request.size).key
        except DatasetError as error:
            key = f"(unreadable: {error})"
        return f"document {key} at byte {request.offset} of shard {request.shard} in {self.dataset.location}"

    def _place(self, row: int) -> tuple[str, int, int]:
        """Shard, offset and size of a document. Raises ShardError, and again for a shard that is known to be bad."""
        number = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        shard = self.shards[number]
        if shard in self._unusable:
            raise self._unusable[shard]
        try:
            offsets, sizes = self._rows(shard)
        except ShardError as error:
            self._unusable[shard] = error
            raise
        first = int(self._first_rows[number])
        return shard, int(offsets[row - first]), int(sizes[row - first])

    def _tolerate(self, error: ShardError) -> None:
        """Counts the shard. Raises ShardError at the first too many."""
        if error.shard in self.bad_shards:
            return
        self.bad_shards.add(error.shard)
        number, allowed = len(self.bad_shards), self.tolerance.bad_shards
        if number > allowed:
            excess = f"; {number} shards are bad and skip_bad_shards allows {allowed}" if allowed else ""
            raise ShardError(f"{error}{excess}", error.shard)
        log.warning(
            "dataset %s goes on without shard %s (%d of %d): %s", self.name, error.shard, number, allowed, error
        )

    def _stop(self, bad: Mapping[str, int]) -> None:
        """Raises DatasetError: too many samples are bad."""
        reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(bad.items()))
        raise DatasetError(
            f"{self.dataset.location} gave bad samples ({reasons}) beside {self.given} good ones, and at most "
            f"{self.tolerance.bad_samples} of {BAD_SAMPLES_WINDOW:,} are allowed; make the dataset again, or raise "
            "max_bad_samples"
        )
