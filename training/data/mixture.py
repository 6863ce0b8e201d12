"""All datasets of a run as one worker reads them: update after update, its part of one batch of each.

    how many samples each dataset has given ──► positions ──► decoders ──► collate ──► ready ahead of the training loop

That is the whole state: from the same numbers follow the same batches, on any number of workers and of decoders.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from model.batch import FlamingoBatch
from training.config import TrainingConfig
from training.data.collate import collate
from training.data.decoders import Delivered, Wanted, decode_here, decoders
from training.data.features import Eye
from training.data.lanes import rank_positions
from training.data.pictures import Canvas
from training.data.stream import Stream, open_stream
from training.data.vocabulary import Vocabulary

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Which sample of a document a place in a batch went to."""

    position: int
    """Of the place, in the endless order of its dataset."""
    key: str
    """Of the document, which may be the next of the lane."""
    epoch: int
    """Of the document."""
    attends_next: bool
    """Whether texts attend to the image after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBatch:
    """A worker's part of one global batch."""

    batch: FlamingoBatch
    given: tuple[Given, ...]
    """Of the samples, in the order of positions; empty where the worker has no part in this batch."""
    bad: Mapping[str, int]
    """Samples of the dataset that this worker has passed over since it started, by reason."""
    epoch_samples: int
    """After so many samples the dataset begins again, in a new order."""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(one.key for one in self.given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which worker this is."""

    rank: int
    world: int
    """Workers in all."""


@contextmanager
def load_updates(
    config: TrainingConfig,
    vocabulary: Vocabulary,
    canvas: Canvas,
    *,
    given: Mapping[str, int],
    part: Part,
    eye: Eye | None = None,
) -> Generator[Iterator[dict[str, LoadedBatch]]]:
    """The worker's batches by dataset for each update, without end, when `given` samples of each have been given.

    With an `eye`, they hold the features that it has computed ahead instead of pixels. Raises DatasetError here or from
    the iterator if a dataset is not as its manifest says, or too much of it is bad.
    """
    streams = {name: open_stream(config, name, vocabulary, canvas, eye) for name in config.datasets}
    wanted = plan_batches(config, given, part)
    with ExitStack() as stack:
        if config.decoders:
            pool = decoders(streams, processes=config.decoders, slots=count_slots(config, part))
            delivered = stack.enter_context(pool).batches(wanted)
        else:
            delivered = decode_here(streams, wanted)
        updates = _collate_updates(streams, plan_updates(config, given), delivered, pinned=config.gpu)
        yield stack.enter_context(made_ahead(updates, config.prefetch))


def datasets_of_update(config: TrainingConfig, given: Mapping[str, int]) -> list[str]:
    """The datasets of which an update takes a batch, when `given` samples of each have been given.

    All of them, or in a round robin the first of those that have given the fewest batches.
    """
    if config.objective == "round_robin":
        return [min(config.datasets, key=lambda name: given[name] // config.datasets[name].batch)]
    return list(config.datasets)


def plan_updates(config: TrainingConfig, given: Mapping[str, int]) -> Iterator[dict[str, range]]:
    """The positions of the global batch of each dataset, update after update."""
    ends = dict(given)
    while True:
        starts = {name: ends[name] for name in datasets_of_update(config, ends)}
        ends |= {name: start + config.datasets[name].batch for name, start in starts.items()}
        yield {name: range(start, ends[name]) for name, start in starts.items()}


def plan_batches(config: TrainingConfig, given: Mapping[str, int], part: Part) -> Iterator[Wanted]:
    """The worker's positions of each batch of each update."""
    for update in plan_updates(config, given):
        for name, batch in update.items():
            positions = rank_positions(batch.start, batch.stop, part.rank, part.world)
            yield Wanted(dataset=name, positions=positions)


def count_slots(config: TrainingConfig, part: Part) -> dict[str, int]:
    """How many samples of each dataset are made ahead: a batch while the one before is put together."""
    return {name: 2 * -(-dataset.batch // part.world) + config.decoders for name, dataset in config.datasets.items()}


@contextmanager
def made_ahead(items: Iterator[Item], number: int) -> Generator[Iterator[Item]]:
    """The same items, `number` of them made in a thread while the caller works on the last. `items` must not end.

    When the block ends, the item under way is waited for.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="load") as thread:
        ahead = deque(thread.submit(next, items) for _ in range(number))
        try:
            yield _take(ahead, lambda: thread.submit(next, items))
        finally:
            for future in ahead:
                future.cancel()


def _take(ahead: "deque[Future[Item]]", make_another: "Callable[[], Future[Item]]") -> Iterator[Item]:
    while True:
        item = ahead.popleft().result()
        ahead.append(make_another())
        yield item


def _collate_updates(
    streams: Mapping[str, Stream],
    planned: Iterator[Iterable[str]],
    delivered: Iterator[Sequence[Delivered]],
    *,
    pinned: bool,
) -> Iterator[dict[str, LoadedBatch]]:
    """`planned` says of which streams `delivered` gives the batches of an update."""
    for names in planned:
        yield {name: _load(streams[name], next(delivered), pinned=pinned) for name in names}


def _load(stream: Stream, delivered: Sequence[Delivered], *, pinned: bool) -> LoadedBatch:
    """One batch of the samples, in order."""
    batch = collate(
        [one.decoded for one in delivered],
        stream.maker.canvas,
        stream.maker.vocabulary.pad,
        features=stream.maker.features,
        row_tokens=stream.config.row_tokens,
        pinned=pinned,
    )
    return LoadedBatch(
        batch=batch,
        given=tuple(map(_given, delivered)),
        bad=dict(stream.source.bad),
        epoch_samples=stream.source.order.samples,
    )


def _given(one: Delivered) -> Given:
    request, sample = one.request, one.decoded.sample
    return Given(position=one.position, key=sample.key, epoch=request.epoch, attends_next=sample.attends_next)
