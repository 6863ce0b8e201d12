"""One dataset as several ranks read it, with pictures that cannot be decoded, and cut shards."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from squares import document, make_tokenizer, page, pair, write_dataset

from model.language import add_tokens
from shards.dataset import open_dataset
from shards.document import Document, Frame, Media, Text
from shards.errors import DatasetError
from training.collate import Canvas
from training.config import DatasetConfig
from training.loader import Loader, prefetched
from training.loop import sampling_rule
from training.sampling import Kind, vocabulary_of


def open_loader(uri: str, kind: Kind = "pair", **changes) -> Loader:
    config = DatasetConfig(uri=uri, kind=kind, **changes)
    tokenizer = make_tokenizer()
    add_tokens(tokenizer)
    return Loader(
        open_dataset(uri),
        rule=sampling_rule(config),
        vocabulary=vocabulary_of(tokenizer),
        canvas=Canvas(size=8, mean=(0.5, 0.5, 0.5)),
        seed=4,
        max_bad_samples=config.max_bad_samples,
    )


def global_keys(loader: Loader, *, start: int, batch: int, world: int, batches: int) -> list[str]:
    """The keys that all ranks together are given, in the order of positions."""
    streams = [loader.batches(start=start, batch=batch, rank=rank, world=world) for rank in range(world)]
    keys = []
    for number in range(batches):
        parts = [list(next(stream).keys) for stream in streams]
        first = start + number * batch
        keys += [parts[position % world].pop(0) for position in range(first, first + batch)]
        assert not any(parts)
    return keys


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Loader:
    documents = [pair(number) for number in range(21)]
    return open_loader(write_dataset(tmp_path_factory.mktemp("pairs"), documents, chunks=3))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 4), st.integers(1, 4))
def test_the_order_is_the_same_for_every_world_size_and_stop_point(pairs, world, batch, stop, new_world):
    undisturbed = global_keys(pairs, start=0, batch=batch, world=1, batches=8)

    before = global_keys(pairs, start=0, batch=batch, world=world, batches=stop)
    after = global_keys(pairs, start=stop * batch, batch=batch, world=new_world, batches=8 - stop)

    assert before + after == undisturbed


def test_an_epoch_gives_each_document_once_and_the_last_batch_runs_on(pairs):
    keys = global_keys(pairs, start=0, batch=4, world=2, batches=11)

    assert sorted(keys[:21]) == sorted(pair(number).key for number in range(21))
    assert sorted(keys[21:42]) == sorted(keys[:21])
    assert keys[21:42] != keys[:21]


def test_a_rank_without_a_part_still_gives_a_batch(pairs):
    first = next(pairs.batches(start=0, batch=1, rank=1, world=2))

    assert first.keys == ()
    assert first.batch.labels.tolist() == [[-100]]


def bad_pair(number: int) -> Document:
    frame = Frame(data=b"no picture", format="png", width=1, height=1)
    return document(number, Media(kind="image", frames=(frame,)), Text(text="a square"))


def test_a_bad_sample_leaves_its_slot_to_the_next_of_its_lane(tmp_path: Path):
    documents = [bad_pair(n) if n in (3, 70) else pair(n) for n in range(150)]
    loader = open_loader(write_dataset(tmp_path, documents))
    order = loader.order
    expected = []
    for position in range(150):
        row = order.at(position)[1]
        while row in (3, 70):
            position = order.next_in_lane(position)
            row = order.at(position)[1]
        expected.append(documents[row].key)

    batches = list(islice(loader.batches(start=0, batch=50, rank=0, world=1), 3))

    assert [key for loaded in batches for key in loaded.keys] == expected
    assert batches[-1].bad == {"picture_undecodable": 2}
    assert len(set(expected)) == 148


def test_too_many_bad_samples_stop_training(tmp_path: Path):
    documents = [bad_pair(n) for n in range(8)]
    loader = open_loader(write_dataset(tmp_path, documents), max_bad_samples=2)

    with pytest.raises(DatasetError, match=r"gave 3 bad samples \(picture_undecodable 3\) .* at most 2 are allowed"):
        next(loader.batches(start=0, batch=1, rank=0, world=1))


def test_a_cut_shard_stops_training_by_name(tmp_path: Path):
    loader = open_loader(write_dataset(tmp_path, [page(number) for number in range(8)]), kind="interleaved")
    (shard,) = tmp_path.glob("*.tar")
    shard.write_bytes(shard.read_bytes()[:4096])

    with pytest.raises(DatasetError, match=f"{shard.name} at byte .* the shard is cut"):
        next(loader.batches(start=0, batch=8, rank=0, world=1))


def test_prefetched_items_keep_their_order_and_their_errors():
    def items():
        yield from range(3)
        raise DatasetError("the shard is cut")

    stream = prefetched(items())
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DatasetError, match="the shard is cut"):
        next(stream)
