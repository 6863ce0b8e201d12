"""The learning rate over a run, against values worked out by hand and torch's own schedulers."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from training.schedule import Schedule, scale_at


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 0.775, 0.55, 0.325, 0.1, 0.1]),
        ("cosine", [0.5, 1, 0.868198051533946, 0.55, 0.231801948466054, 0.1, 0.1]),
    ],
)
def test_it_rises_and_then_stays_or_falls_to_its_floor(schedule: Schedule, expected: list[float]):
    scales = [scale_at(update, schedule=schedule, warmup=2, updates=6, floor=0.1) for update in range(1, 8)]
    assert scales == pytest.approx(expected, abs=1e-12)


def test_the_cosine_is_torchs():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = CosineAnnealingLR(optimizer, T_max=50, eta_min=0.2)
    for update in range(1, 51):
        optimizer.step()
        scheduler.step()
        ours = scale_at(update, schedule="cosine", warmup=0, updates=50, floor=0.2)
        assert ours == pytest.approx(scheduler.get_last_lr()[0], abs=1e-9)
