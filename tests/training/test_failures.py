"""Runs in which something breaks: losses that are not numbers, disks that are full, workers that die (slow)."""

import dataclasses
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from training.config import TrainingConfig
from training.log import read_log
from training.run import run

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\."),
    pytest.mark.slow,
]


def adapters(config: TrainingConfig, update: int) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output, f"checkpoints/update-{update:09d}/adapters/adapters.safetensors"))


@pytest.fixture(scope="module")
def undisturbed(ray_cluster, make_config: Callable[..., TrainingConfig], tmp_path_factory) -> TrainingConfig:
    config = make_config(tmp_path_factory.mktemp("run") / "output", updates=12, checkpoint_every=4, learning_rate=3e-3)
    run(config)
    return config


def kill_a_worker(output: Path, update: int) -> None:
    """SIGKILL for one of the run's two workers once its log has that update."""
    while not (records := read_log(output)) or records[-1]["update"] < update:
        time.sleep(0.01)
    children = psutil.Process().children(recursive=True)
    worker, _ = (process for process in children if "RayTrainWorker" in " ".join(process.cmdline()))
    worker.send_signal(signal.SIGKILL)


def test_workers_are_started_again_after_one_was_killed(undisturbed: TrainingConfig, tmp_path: Path):
    config = dataclasses.replace(undisturbed, output=str(tmp_path / "output"), failures=1)
    killer = threading.Thread(target=kill_a_worker, args=(Path(config.output), 6))
    killer.start()

    run(config)

    killer.join()
    records, expected = read_log(Path(config.output)), read_log(Path(undisturbed.output))
    assert [record["update"] for record in records] == list(range(1, 13))
    assert [record["loss"] for record in records] == [record["loss"] for record in expected]
    for name, value in adapters(config, 12).items():
        assert torch.equal(value, adapters(undisturbed, 12)[name])
