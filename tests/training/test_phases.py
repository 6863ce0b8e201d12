"""What a worker was doing, for how long, and how one that stands still ends."""

import subprocess
import sys
from pathlib import Path

import torch

from training.phases import EXIT_CODE, STUCK, Phases, watch

STANDING = """
import sys, time
from pathlib import Path
from training.phases import Phases, Watchdog

phases = Phases()
with Watchdog(phases, rank=3, seconds=0.2, output=Path(sys.argv[1])):
    for _ in range(5):
        phases.enter("data", 17)
        time.sleep(0.1)
    phases.enter("backward")
    time.sleep(60)
"""


def test_a_watched_module_interrupts_the_phase_around_it():
    times = iter([0.0, 1.0, 3.0, 7.0, 15.0])
    settled = list[str]()
    phases = Phases(clock=lambda: next(times), settle=lambda: settled.append(phases.what))
    module = torch.nn.Identity()
    watch(module, "vision", phases)

    phases.enter("forward")
    module(torch.zeros(1))
    phases.enter("backward")

    assert phases.take() == {"start": 1.0, "vision": 4.0, "forward": 2.0 + 8.0}
    assert settled == ["start", "forward", "vision", "forward"]


def test_seconds_by_phase():
    times = iter([0.0, 1.0, 3.0, 3.5, 10.0, 12.0, 15.0])
    phases = Phases(lambda: next(times))
    phases.enter("data", 1)
    phases.enter("forward")
    phases.enter("data")
    phases.enter("log")

    assert phases.take() == {"start": 1.0, "data": 2.0 + 6.5, "forward": 0.5}
    assert phases.standing() == (2.0, "in phase log of update 1")
    phases.enter("data", 2)
    assert phases.take() == {"log": 5.0}


def test_a_worker_that_stands_still_names_itself_and_ends(tmp_path: Path):
    run = subprocess.run([sys.executable, "-c", STANDING, str(tmp_path)], timeout=50, check=False)

    assert run.returncode == EXIT_CODE
    told = (tmp_path / STUCK).read_text()
    assert told.startswith("rank 3 was in phase backward of update 17 for 0 s, and was ended:\n")
    assert "line 12 in <module>" in told  # the sleep
