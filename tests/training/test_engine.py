"""The engine's updates, however the model is spread and batches are cut: those of one worker that holds everything."""

import json
import math
from itertools import combinations
from pathlib import Path

import pytest
import torch
from engine_workers import UPDATES, run_workers
from optimizer_files import read_optimizer

from training.offload_config import OffloadConfig

SPREAD = {
    "stage 3": {},
    "stage 2": {"zero_stage": 2},
    "stage 0": {"zero_stage": 0},
    "stage 3, one by one": {"micro_batch": 1},
    "stage 2, two by two": {"zero_stage": 2, "micro_batch": 2},
    "stage 3, offloaded": {"offload": OffloadConfig(optimizer="cpu"), "checkpoint_while_training": False},
    "stage 3, all offloaded": {"offload": OffloadConfig(optimizer="cpu", parameters="cpu")},
    "stage 3, feed-forwards anew": {"checkpoint_activations": "feed_forwards", "trim_heap": 1},
    "stage 3, adapters anew": {"checkpoint_activations": "adapters"},
    "stage 3, all anew": {"checkpoint_activations": "all"},
}
CONTINUED = {
    "from 3 to 2": {"zero_stage": 2, "start": "two/stage 3"},
    "from 3 to 3": {"start": "two/stage 3"},
    "from 2 to 0": {"zero_stage": 0, "start": "two/stage 2"},
    "from 0 to 3": {"start": "two/stage 0"},
    "from one worker to two": {"start": "one/first"},
}

SPOILT = {"spoilt, stage 3": {}, "spoilt, stage 2": {"zero_stage": 2}, "spoilt, stage 0": {"zero_stage": 0}}


@pytest.fixture(scope="module")
def runs(make_config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the runs of both tables on two workers, and on one that holds all for as many updates."""
    folder = tmp_path_factory.mktemp("runs")
    config = make_config(folder, updates=9, learning_rate=3e-3, warmup=3, decoders=0)
    whole = {"zero_stage": 0}
    run_workers(1, folder / "one", {"first": whole, "second": {**whole, "start": "one/first"}}, config)
    spoilt = {name: {**changes, "spoilt": 1} for name, changes in SPOILT.items()}
    run_workers(2, folder / "two", {**SPREAD, **CONTINUED, **spoilt}, config)
    run_workers(1, folder / "one again", {"from two workers to one": {"start": "two/stage 3"}}, config)
    return folder


def read(run: Path) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """The records of a run, and the trained parameters and moments at its end."""
    (checkpoint,) = run.glob("checkpoints/*")
    return json.loads((run / "records.json").read_text()), read_optimizer(checkpoint)


@pytest.mark.parametrize(
    ("name", "reference"), [*((name, "first") for name in SPREAD), *((name, "second") for name in CONTINUED)]
)
def test_two_workers_make_the_updates_of_one(runs: Path, name: str, reference: str):
    records, state = read(runs / "two" / name)
    expected_records, expected = read(runs / "one" / reference)

    for record, other in zip(records, expected_records, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert record["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
    assert len(records) == UPDATES
    assert state.keys() == expected.keys()
    for key, value in state.items():
        torch.testing.assert_close(value, expected[key], atol=1e-5, rtol=0, msg=key)


def test_one_worker_goes_on_from_two(runs: Path):
    records, state = read(runs / "one again" / "from two workers to one")
    expected_records, expected = read(runs / "one" / "second")

    for record, other in zip(records, expected_records, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], abs=1e-5)
    for key, value in state.items():
        torch.testing.assert_close(value, expected[key], atol=1e-5, rtol=0, msg=key)


@pytest.mark.slow
def test_four_workers_make_the_updates_of_one(runs: Path, make_config, tmp_path: Path):
    config = make_config(tmp_path, updates=9, learning_rate=3e-3, warmup=3, decoders=0)
    run_workers(4, tmp_path / "four", {"one by one": {"micro_batch": 1}}, config)

    (records, state), (expected_records, expected) = read(tmp_path / "four/one by one"), read(runs / "one" / "first")
    for record, other in zip(records, expected_records, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], abs=1e-5)
    for key, value in state.items():
        torch.testing.assert_close(value, expected[key], atol=1e-5, rtol=0, msg=key)


@pytest.mark.parametrize("name", SPREAD)
def test_measures_do_not_depend_on_how_the_model_is_spread(runs: Path, name: str):
    records, _ = read(runs / "two" / name)
    expected_records, _ = read(runs / "one" / "first")

    for record, expected in zip(records, expected_records, strict=True):
        norms, cosines = record["dataset_gradient_norm"], record["gradient_cosine"]
        products = sum(norms[one] * norms[other] * cosines[f"{one} {other}"] for one, other in combinations(norms, 2))
        assert norms == pytest.approx(expected["dataset_gradient_norm"], rel=1e-4)
        assert cosines == pytest.approx(expected["gradient_cosine"], abs=1e-4)
        squares = sum(norm**2 for norm in norms.values())
        assert (squares + 2 * products) ** 0.5 == pytest.approx(record["gradient_norm"], rel=1e-4)
        assert record["blind_loss"] == pytest.approx(expected["blind_loss"], abs=1e-5)
        # A batch of one film has no other film to show.
        assert record["shuffled_loss"].keys() == {"pages", "pairs"}


@pytest.mark.parametrize("name", SPOILT)
def test_no_rank_makes_a_step_on_a_gradient_that_is_no_number(runs: Path, name: str):
    (first, second), state = read(runs / "two" / name)
    (_, undisturbed), _ = read(runs / "one" / "first")
    _, expected = read(runs / "two" / "spoilt, stage 0")

    assert not math.isfinite(first["gradient_norm"])
    assert math.isfinite(second["gradient_norm"])
    assert second["loss"] != pytest.approx(undisturbed["loss"], abs=1e-5)  # the first step was not made
    for key, value in state.items():
        assert value.isfinite().all()
        torch.testing.assert_close(value, expected[key], atol=1e-5, rtol=0, msg=key)
