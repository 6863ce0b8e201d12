"""What counts as an update gone wrong."""

import math

import pytest

from training.health import LEAST, Health


def test_a_loss_far_above_those_before_is_told():
    health = Health()
    for number in range(LEAST):
        assert health.judge({"pages": 2.0 + 0.1 * (number % 2), "pairs": 1.0 + 0.1 * (number % 2)}, 1.0) == []

    assert health.judge({"pages": 2.3, "pairs": 1.1}, 1.0) == []  # 5 deviations of 0.05
    assert health.judge({"pages": 2.6, "pairs": 1.1}, 1.0) == [
        "the loss of pages is 2.600, where the 21 before were 2.062 +- 0.074"
    ]
    assert health.judge({"pages": 2.05, "pairs": 1.1}, 1.0) == []


def test_the_first_losses_are_not_judged():
    health = Health()
    assert [health.judge({"pages": loss}, 1.0) for loss in [1.0] * (LEAST - 1) + [99.0]] == [[]] * LEAST


@pytest.mark.parametrize("norm", [math.inf, math.nan])
def test_updates_without_a_finite_gradient_are_counted_in_a_row(norm: float):
    health = Health()
    sentence = "no step was made, because the gradient is not finite (loss: pages nan, pairs 1)"

    assert health.judge({"pages": math.nan, "pairs": 1.0}, norm) == [sentence]
    assert health.judge({"pages": math.nan, "pairs": 1.0}, norm) == [sentence]
    assert health.skipped_in_a_row == 2
    assert health.judge({"pages": 1.0, "pairs": 1.0}, 0.5) == []
    assert health.skipped_in_a_row == 0


def test_losses_of_skipped_updates_are_not_remembered():
    health = Health()
    for _ in range(LEAST):
        health.judge({"pages": math.inf}, math.inf)
    assert health.judge({"pages": 9.0}, 1.0) == []
