"""The benchmark of training steps: its ratios, and what it refuses."""

import pytest

from benchmarks.model import SIDES, ModelBenchmarkConfig, medians, report, run, targets
from benchmarks.report import machine
from jobs.command import InputError


def sides(trained: float = 10.0) -> dict[str, dict[str, float]]:
    figures = {f"{side} {how}": {"seconds": 8.0, "gigabytes": 4.0, "trained": 10.0} for side, how in SIDES}
    figures["ours fp32"] = {"seconds": 6.0, "gigabytes": 3.0, "trained": trained}
    figures["ours bf16"] = {"seconds": 2.0, "gigabytes": 3.0, "trained": 10.0}
    return figures


def test_ratios_are_to_openflamingo_in_the_same_precision():
    assert targets(sides()) == {
        "step_ratio_fp32": {"value": 0.75, "must": "<= 0.85"},
        "step_ratio_bf16": {"value": 0.25, "must": "<= 0.7"},
        "memory_ratio_fp32": {"value": 0.75, "must": "<= 0.7"},
    }


def test_a_program_reads_targets_and_machine_by_their_names():
    found = report(sides(), {"cached": 10.0, "uncached": 1.0})
    assert found["benchmark"] == "model"
    assert found["targets"] == targets(sides())
    assert found["machine"] == machine()


def test_sides_that_train_other_numbers_of_parameters_are_not_compared():
    with pytest.raises(InputError, match="different numbers of parameters"):
        targets(sides(trained=11.0))


def test_a_figure_is_the_median_over_the_rounds():
    assert medians([{"seconds": 3.0}, {"seconds": 9.0}, {"seconds": 4.0}]) == {"seconds": 4.0}


def test_openflamingo_must_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv("OPEN_FLAMINGO", str(tmp_path))
    with pytest.raises(InputError, match="must name the folder of OpenFlamingo's repository"):
        run(ModelBenchmarkConfig())


def test_rounds_and_steps_are_checked():
    with pytest.raises(ValueError, match="steps is 0; it must be 1 or greater"):
        ModelBenchmarkConfig(steps=0)
