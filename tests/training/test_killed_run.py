"""Real runs whose workers or driver are killed, gone on with by one worker and by two, beside an undisturbed one."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from training.config import TrainingConfig
from training.log import read_log

ROOT = Path(__file__).parents[2]
UPDATES, CHECKPOINT_EVERY = 24, 5
PATIENCE = 240
"""Seconds after which the test gives up."""

Update = dict[tuple[str, int], tuple[str, int, bool]]


@pytest.fixture
def write_config(make_config: Callable[..., TrainingConfig], tmp_path: Path) -> Callable[[str], Path]:
    """A function that writes the config of a run of that name, and returns its file; its output lies beside it."""

    def write(name: str) -> Path:
        config = make_config(
            tmp_path / name, updates=UPDATES, checkpoint_every=CHECKPOINT_EVERY, decoders=2, log_samples=True
        )
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(dataclasses.asdict(config)))  # JSON is YAML
        return path

    return write


def start(config: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training.run", "--config", str(config), *flags]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(job: subprocess.Popen[str]) -> None:
    printed, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == 0, printed


def kill_workers_at(job: subprocess.Popen[str], output: Path, update: int) -> None:
    """Kills both training workers with SIGKILL as soon as the run has logged that update."""
    for worker in workers_at(job, output, update):
        worker.send_signal(signal.SIGKILL)
    printed, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode != 0, printed


def workers_at(job: subprocess.Popen[str], output: Path, update: int) -> list[psutil.Process]:
    """Both training workers, as soon as the run has logged that update."""
    deadline = time.monotonic() + PATIENCE
    while not (records := read_log(output)) or records[-1]["update"] < update:
        assert time.monotonic() < deadline
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.01)
    workers = [
        process
        for process in psutil.Process(job.pid).children(recursive=True)
        if "RayTrainWorker" in " ".join(process.cmdline())
    ]
    assert len(workers) == 2
    return workers


def read_updates(output: Path) -> list[Update]:
    """Of each update, the key, epoch and image placement at each position of each dataset.

    An update that was made more than once, because the run was killed before its checkpoint, has to be the same.
    """
    updates = [Update() for _ in range(UPDATES)]
    for path in sorted((output / "samples").iterdir()):
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue  # the worker was killed while it wrote this
            record = json.loads(line)
            place = record["dataset"], record["position"]
            found = record["key"], record["epoch"], record["attends_next"]
            assert updates[record["update"] - 1].setdefault(place, found) == found
    return updates


@pytest.mark.slow
def test_killed_workers_change_no_sample(write_config: Callable[[str], Path]):
    undisturbed, killed = write_config("undisturbed"), write_config("killed")
    finish(start(undisturbed))
    update = random.randrange(CHECKPOINT_EVERY + 1, UPDATES - CHECKPOINT_EVERY)
    print(f"killed at update {update}")

    job = start(killed)
    kill_workers_at(job, killed.with_suffix(""), update)
    finish(start(killed, "--workers", "1", "--limit", "3"))
    finish(start(killed, "--workers", "2"))

    expected = read_updates(undisturbed.with_suffix(""))
    assert all({name for name, _ in one} == {"pages", "pairs", "films"} for one in expected)
    assert [len(one) for one in expected] == [10] * UPDATES
    assert len({placed for one in expected for (name, _), (*_, placed) in one.items() if name == "pages"}) == 2
    assert read_updates(killed.with_suffix("")) == expected
    losses, others = ([record["loss"] for record in read_log(one.with_suffix(""))] for one in (undisturbed, killed))
    assert others == [pytest.approx(loss, abs=1e-4) for loss in losses]


@pytest.mark.slow
def test_a_killed_driver_takes_its_workers_with_it_and_is_gone_on_from(write_config: Callable[[str], Path]):
    undisturbed, killed = write_config("undisturbed"), write_config("killed")
    finish(start(undisturbed))

    job = start(killed)
    workers = workers_at(job, killed.with_suffix(""), CHECKPOINT_EVERY + 2)
    job.kill()
    job.communicate(timeout=PATIENCE)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    finish(start(killed))

    assert read_updates(killed.with_suffix("")) == read_updates(undisturbed.with_suffix(""))
    losses, others = ([record["loss"] for record in read_log(one.with_suffix(""))] for one in (undisturbed, killed))
    assert others == losses
