"""A mixture as several workers read it: the same order for all, with pictures and shards that cannot be used."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from squares import document, make_tokenizer, page, pair, write_dataset

from model.config import FlamingoConfig
from model.language import add_tokens
from shards.dataset import Dataset, open_dataset
from shards.document import Document, Frame, Media, Text
from shards.errors import DatasetError, ShardError
from training.config import DatasetConfig, TrainingConfig
from training.data.mixture import LoadedBatch, Part, load_updates, made_ahead
from training.data.pictures import BadMedia, Canvas
from training.data.source import BAD_SAMPLES_WINDOW, Source, Tolerance
from training.data.stream import Stream, open_stream
from training.data.vocabulary import Vocabulary, vocabulary_of

CANVAS = Canvas(size=8, mean=(0.5, 0.5, 0.5))
UPDATES = 8
Place = tuple[str, int, str, int, bool]


@cache
def vocabulary() -> Vocabulary:
    tokenizer = make_tokenizer()
    add_tokens(tokenizer)
    return vocabulary_of(tokenizer)


def mixture_config(datasets: Mapping[str, DatasetConfig], **changes: Any) -> TrainingConfig:
    model = FlamingoConfig(vision="v", language="l")
    return TrainingConfig(output="run", model=model, datasets=datasets, **{"decoders": 0, "seed": 4, **changes})


def one_dataset(
    uri: str, kind: Any = "pair", *, batch: int = 4, decoders: int = 0, skip_bad_shards: int = 0, **changes
):
    datasets = {"it": DatasetConfig(uri=uri, kind=kind, batch=batch, **changes)}
    return mixture_config(datasets, decoders=decoders, skip_bad_shards=skip_bad_shards)


def load(config: TrainingConfig, updates: int, *, done: int = 0, rank: int = 0, world: int = 1) -> list[LoadedBatch]:
    """All batches of a worker in `updates` updates, when `done` are done."""
    already = {name: done * dataset.batch for name, dataset in config.datasets.items()}
    part = Part(rank=rank, world=world)
    with load_updates(config, vocabulary(), CANVAS, given=already, part=part) as loaded:
        return [batch for update in islice(loaded, updates) for batch in update.values()]


def places(config: TrainingConfig, updates: int, *, done: int = 0, world: int = 1) -> list[list[Place]]:
    """What each global batch is made of: dataset, position, key, epoch and placement of images, by position."""
    parts = [load(config, updates, done=done, rank=rank, world=world) for rank in range(world)]
    names = [*config.datasets] * updates
    return [
        sorted((name, *dataclasses.astuple(one)) for loaded in batches for one in loaded.given)
        for name, *batches in zip(names, *parts, strict=True)
    ]


@pytest.fixture(scope="module")
def two_datasets(tmp_path_factory) -> dict[str, DatasetConfig]:
    folder = tmp_path_factory.mktemp("mixture")
    pairs = write_dataset(folder / "pairs", [pair(number) for number in range(21)], chunks=3)
    pages = write_dataset(folder / "pages", [page(number) for number in range(13)], chunks=2)
    return {
        "pairs": DatasetConfig(uri=pairs, kind="pair"),
        "pages": DatasetConfig(uri=pages, kind="interleaved", max_text=24),
    }


sizes = st.integers(1, 7)
worlds = st.integers(1, 5)


@settings(deadline=None, max_examples=40)
@given(st.tuples(sizes, sizes), worlds, st.integers(0, UPDATES), worlds)
def test_the_order_is_the_same_for_every_world_size_and_stop_point(two_datasets, batches, world, stop, new_world):
    datasets = {
        name: dataclasses.replace(dataset, batch=batch)
        for batch, (name, dataset) in zip(batches, two_datasets.items(), strict=True)
    }
    config = mixture_config(datasets)
    undisturbed = places(config, UPDATES)

    before = places(config, stop, world=world)
    after = places(config, UPDATES - stop, done=stop, world=new_world)

    assert before + after == undisturbed


def test_pixels_and_tokens_are_the_same_after_a_resume(two_datasets):
    config = mixture_config(two_datasets)
    undisturbed, resumed = load(config, 3)[4:], load(config, 1, done=2)

    for one, other in zip(undisturbed, resumed, strict=True):
        for field in dataclasses.fields(one.batch):
            value, expected = getattr(one.batch, field.name), getattr(other.batch, field.name)
            assert value is expected or value.equal(expected)


def test_seeds_differ(two_datasets):
    orders = [places(mixture_config(two_datasets, seed=seed), 3) for seed in (1, 2)]
    assert [[place[2] for place in batch] for batch in orders[0]] != [
        [place[2] for place in batch] for batch in orders[1]
    ]


def test_an_epoch_gives_each_document_once_and_the_last_batch_runs_on(two_datasets):
    config = one_dataset(two_datasets["pairs"].uri)
    keys = [place[2] for batch in places(config, 11, world=2) for place in batch]

    assert sorted(keys[:21]) == sorted(pair(number).key for number in range(21))
    assert sorted(keys[21:42]) == sorted(keys[:21])
    assert keys[21:42] != keys[:21]


def test_a_rank_without_a_part_still_gives_a_batch(two_datasets):
    (first,) = load(one_dataset(two_datasets["pairs"].uri, batch=1), 1, rank=1, world=2)

    assert first.keys == ()
    assert first.batch.labels.tolist() == [[-100]]


def bad_pair(number: int) -> Document:
    frame = Frame(data=b"no picture", format="png", width=1, height=1)
    return document(number, Media(kind="image", frames=(frame,)), Text(text="a square"))


def stream_of(config: TrainingConfig) -> Stream:
    return open_stream(config, "it", vocabulary(), CANVAS)


@pytest.mark.parametrize("decoders", [0, 2])
def test_a_bad_sample_leaves_its_slot_to_the_next_of_its_lane(tmp_path: Path, decoders: int):
    documents = [bad_pair(n) if n in (3, 70) else pair(n) for n in range(150)]
    config = one_dataset(write_dataset(tmp_path, documents), batch=50, decoders=decoders)
    order = stream_of(config).source.order
    expected = []
    for position in range(150):
        row = order.at(position)[1]
        while row in (3, 70):
            position = order.next_in_lane(position)
            row = order.at(position)[1]
        expected.append(documents[row].key)

    batches = load(config, 3)

    assert [key for loaded in batches for key in loaded.keys] == expected
    assert [one.position for loaded in batches for one in loaded.given] == list(range(150))
    assert batches[-1].bad == {"picture_undecodable": 2}
    assert len(set(expected)) == 148


@pytest.mark.parametrize("decoders", [0, 1])
def test_too_many_bad_samples_stop_training(tmp_path: Path, decoders: int):
    documents = [bad_pair(n) for n in range(8)]
    config = one_dataset(write_dataset(tmp_path, documents), max_bad_samples=2, decoders=decoders)

    with pytest.raises(DatasetError, match=r"bad samples \(picture_undecodable 3\) .* at most 2 of 10,000 are allowed"):
        load(config, 1)


def test_bad_samples_are_held_against_their_bound_over_a_window(tmp_path: Path):
    dataset = open_dataset(write_dataset(tmp_path, [pair(n) for n in range(4)]))
    source = Source("it", dataset, seed=0, tolerance=Tolerance(bad_samples=2, bad_shards=0))
    good, bad = source.request(0), source.replace(source.request(0), BadMedia("picture_undecodable"))

    for request in (bad, bad):
        source.give(request)
    for _ in range(BAD_SAMPLES_WINDOW - 2):
        source.give(good)
    for request in (bad, bad):  # the first two lie further back than the window
        source.give(request)
    with pytest.raises(DatasetError, match=r"picture_undecodable 5\) beside 10003 good ones"):
        source.give(bad)


@pytest.mark.parametrize("decoders", [0, 1])
def test_a_cut_shard_stops_training_by_name(tmp_path: Path, decoders: int):
    config = one_dataset(write_dataset(tmp_path, [page(n) for n in range(8)]), "interleaved", decoders=decoders)
    (shard,) = tmp_path.glob("*.tar")
    shard.write_bytes(shard.read_bytes()[:4096])

    with pytest.raises(ShardError, match=f"{shard.name} has 4096 bytes and the manifest says"):
        load(config, 1)


def break_shard(tar: Path, how: str) -> None:
    match how:
        case "deleted":
            tar.unlink()
        case "cut":
            tar.write_bytes(tar.read_bytes()[:-1024])
        case "index changed":
            index = tar.with_suffix(".parquet")
            index.write_bytes(index.read_bytes().replace(b"test", b"tset", 1))


@pytest.mark.parametrize("how", ["deleted", "cut", "index changed"])
def test_training_goes_on_without_a_bad_shard_if_told_so(tmp_path: Path, how: str, caplog):
    documents = [pair(number) for number in range(30)]
    uri = write_dataset(tmp_path, documents, chunks=3)
    tar = tmp_path / "chunk-1-0000.tar"
    break_shard(tar, how)
    lost = {documents[number].key for number in range(1, 30, 3)}

    with pytest.raises(ShardError, match=r"chunk-1-0000\.(tar|parquet) "):
        load(one_dataset(uri, batch=6), 5)
    config = one_dataset(uri, batch=6, skip_bad_shards=1)
    batches = load(config, 5)

    keys = [key for loaded in batches for key in loaded.keys]
    assert len(keys) == 30
    assert not lost & {*keys}
    assert batches[-1].bad["shard_skipped"] >= 10
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "dataset it goes on without shard chunk-1-0000 (1 of 1)"
    ]
    assert places(config, 2) + places(config, 3, done=2, world=2) == places(config, 5)


def test_one_bad_shard_too_many_stops_training(tmp_path: Path):
    uri = write_dataset(tmp_path, [pair(number) for number in range(30)], chunks=3)
    for name in ("chunk-0-0000", "chunk-2-0000"):
        (tmp_path / f"{name}.tar").unlink()

    with pytest.raises(ShardError, match="2 shards are bad and skip_bad_shards allows 1"):
        load(one_dataset(uri, batch=6, skip_bad_shards=1), 5)


def test_a_changed_byte_costs_its_document_alone(tmp_path: Path):
    documents = [pair(number) for number in range(12)]
    uri = write_dataset(tmp_path, documents)
    (tar,) = tmp_path.glob("*.tar")
    changed = tar.read_bytes().replace(b'"blocks"', b'"bl0cks"', 1)
    tar.write_bytes(changed)

    with pytest.raises(ShardError, match=rf"{tar.name} at byte \d+, document {documents[0].key}"):
        load(one_dataset(uri, batch=6), 2)
    batches = load(one_dataset(uri, batch=6, skip_bad_shards=1), 2)

    assert batches[-1].bad == {"document_unreadable": 1}
    assert {key for loaded in batches for key in loaded.keys} == {one.key for one in documents[1:]}


def test_no_shard_is_left(tmp_path: Path):
    uri = write_dataset(tmp_path, [pair(number) for number in range(4)])
    next(tmp_path.glob("*.tar")).unlink()
    with pytest.raises(DatasetError, match=r"no shard of dataset it in .* can be used"):
        load(one_dataset(uri, skip_bad_shards=1), 1)


def test_only_the_indexes_that_are_needed_are_read(tmp_path: Path, monkeypatch):
    uri = write_dataset(tmp_path, [pair(number) for number in range(40)], chunks=20)
    read = list[str]()
    rows = Dataset.shard_rows
    monkeypatch.setattr(Dataset, "shard_rows", lambda self, name: (read.append(name), rows(self, name))[1])

    load(one_dataset(uri, batch=5), 1)

    assert 0 < len(read) <= 5  # one batch is made, and another asked for by the thread that makes it ahead
    assert len(read) == len(set(read))


def test_packed_batches_hold_the_same_samples(two_datasets):
    uri = two_datasets["pairs"].uri
    apart, packed = (load(one_dataset(uri, batch=9, max_text=12, row_tokens=tokens), 1)[0] for tokens in (0, 24))

    assert packed.keys == apart.keys
    assert packed.batch.input_ids.shape[0] < apart.batch.input_ids.shape[0]
    assert packed.batch.attention_mask.sum() == apart.batch.attention_mask.sum()
    assert (packed.batch.targets != -100).sum() == (apart.batch.targets != -100).sum()


def test_items_made_ahead_keep_their_order_and_their_errors():
    def items():
        yield from range(3)
        raise DatasetError("the shard is cut")

    with made_ahead(items(), 2) as stream:
        assert [next(stream) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(DatasetError, match="the shard is cut"):
            next(stream)
