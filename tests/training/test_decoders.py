"""Decoders in processes of their own: the same samples in the same order, however many, slow or mortal they are."""

import dataclasses
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from odd_makers import DeadlyMaker, FaultyMaker, SlowMaker
from pyarrow import fs
from squares import page, write_dataset
from test_loader import one_dataset, stream_of

from training.config import TrainingConfig
from training.data.decoders import Wanted, decode_here, decoders
from training.data.maker import SampleMaker
from training.data.stream import Stream


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> TrainingConfig:
    uri = write_dataset(tmp_path_factory.mktemp("pages"), [page(number) for number in range(40)], chunks=2)
    return one_dataset(uri, "interleaved", max_text=24)


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def wanted(batch: int):
    return (Wanted(dataset="it", positions=range(start, start + batch)) for start in range(0, 10**6, batch))


Seen = list[tuple[int, str, np.ndarray]]


def deliver(stream: Stream, change: Callable[[SampleMaker], SampleMaker], processes: int, batches: int) -> Seen:
    """Position, key and pixels of the samples of the first batches."""
    seen = Seen()
    changed = dataclasses.replace(stream, maker=change(stream.maker))
    with decoders({"it": changed}, processes=processes, slots={"it": 13}) as pool:
        for batch in islice(pool.batches(wanted(6)), batches):
            seen += [(one.position, one.decoded.sample.key, one.decoded.pixels.copy()) for one in batch]
    return seen


def expected(config: TrainingConfig, batches: int) -> Seen:
    made = decode_here({"it": stream_of(config)}, wanted(6))
    return [
        (one.position, one.decoded.sample.key, one.decoded.pixels) for batch in islice(made, batches) for one in batch
    ]


def assert_same(seen: Seen, other: Seen) -> None:
    assert [one[:2] for one in seen] == [one[:2] for one in other]
    for (*_, pixels), (*_, expected_pixels) in zip(seen, other, strict=True):
        np.testing.assert_array_equal(pixels, expected_pixels)


@pytest.mark.parametrize("processes", [1, 3])
def test_order_and_pixels_do_not_depend_on_the_decoders(config: TrainingConfig, processes: int):
    assert_same(deliver(stream_of(config), SlowMaker.of, processes, 12), expected(config, 12))


def test_a_dataset_in_an_object_store_is_that_of_a_disk(config: TrainingConfig, bucket: fs.FileSystem):
    fs.copy_files(config.datasets["it"].uri, "runs/pages", destination_filesystem=bucket)

    seen = deliver(stream_of(one_dataset("s3://runs/pages", "interleaved", max_text=24)), lambda maker: maker, 2, 3)

    assert_same(seen, expected(config, 3))


def test_a_decoder_that_dies_is_reported_with_its_sample_and_replaced(config: TrainingConfig, tmp_path: Path, caplog):
    stream = stream_of(config)
    request = stream.source.request(8)

    seen = deliver(stream, lambda maker: DeadlyMaker.of(maker, offset=request.offset, times=1, marks=tmp_path), 2, 4)

    assert_same(seen, expected(config, 4))
    assert len(caplog.records) == 1
    assert f"ended with status -9 while it held {stream.source.describe(request)}" in caplog.text
    assert f"document {seen[8][1]} at byte {request.offset}" in caplog.text


def test_a_sample_that_kills_its_decoders_is_passed_over(config: TrainingConfig, tmp_path: Path, caplog):
    stream = stream_of(config)
    request = stream.source.request(8)

    seen = deliver(stream, lambda maker: DeadlyMaker.of(maker, offset=request.offset, times=9, marks=tmp_path), 2, 4)

    undisturbed = expected(config, 4)
    following = stream.source.order.next_in_lane(8)
    assert [position for position, *_ in seen] == list(range(24))
    deadly = {number for number in range(24) if stream.source.request(number).offset == request.offset}
    assert 8 in deadly
    assert_same([one for one in seen if one[0] not in deadly], [one for one in undisturbed if one[0] not in deadly])
    stand_in = stream.source.request(following)
    assert stream.source.describe(stand_in).startswith(f"document {seen[8][1]} ")
    assert stream.source.bad["decoder_died"] == len(deadly)


def test_decoders_killed_from_outside_are_replaced(config: TrainingConfig, caplog):
    seen = Seen()
    with decoders({"it": stream_of(config)}, processes=3, slots={"it": 13}) as pool:
        for number, batch in enumerate(islice(pool.batches(wanted(6)), 8)):
            seen += [(one.position, one.decoded.sample.key, one.decoded.pixels.copy()) for one in batch]
            if number in (1, 4):
                for decoder in pool._decoders[:2]:
                    decoder.process.kill()

    assert_same(seen, expected(config, 8))
    assert len(caplog.records) == 4


def test_a_fault_of_our_own_stops_training_with_its_traceback(config: TrainingConfig):
    with pytest.raises(RuntimeError, match=r"a sample could not be made of Request(?s:.*)a fault of our own"):
        deliver(stream_of(config), FaultyMaker.of, 1, 1)


def test_decoders_end_with_their_block(config: TrainingConfig):
    with decoders({"it": stream_of(config)}, processes=2, slots={"it": 13}) as pool:
        next(pool.batches(wanted(6)))
        processes = [decoder.process for decoder in pool._decoders]
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)
