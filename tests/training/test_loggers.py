"""What others are told of a run's log: TensorBoard, Ray's metrics, Weights & Biases offline, MLflow on a disk."""

import importlib
import json
import math
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import ray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jobs.command import InputError
from training import loggers
from training.config import LoggerName
from training.log import RunLog, flatten
from training.loggers import RUNS, check_loggers


def write(folder: Path, logger: LoggerName, *updates: int) -> None:
    log = RunLog(folder, update=updates[0] - 1, loggers=(logger,))
    for update in updates:
        notes = ["it leapt"] if update == 2 else []
        log.write({"update": update, "loss": {"pages": update / 2}, "seconds": 1.5, "notes": notes})
    log.close()


def test_groups_are_flattened():
    record = {"update": 3, "loss": {"pages": 1.5, "pairs": math.inf}, "seconds": 2.0, "notes": ["a"]}
    assert flatten(record) == {"loss/pages": 1.5, "loss/pairs": math.inf, "seconds": 2.0}


def test_tensorboard_shows_the_same_numbers(tmp_path: Path):
    write(tmp_path, "tensorboard", 1, 2, 3)
    write(tmp_path, "tensorboard", 3, 4)  # from a checkpoint of update 2
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()

    assert [(event.step, event.value) for event in board.Scalars("loss/pages")] == [
        (1, 0.5),
        (2, 1.0),
        (3, 1.5),
        (4, 2.0),
    ]
    assert {event.value for event in board.Scalars("seconds")} == {1.5}
    assert [event.step for event in board.Tensors("notes/text_summary")] == [2]


def test_a_logger_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    check_loggers(("tensorboard", "ray"))
    with pytest.raises(
        InputError, match=r"loggers names mlflow, which is not installed: pip install 'flamboyance\[mlflow\]'"
    ):
        check_loggers(("tensorboard", "mlflow"))


@pytest.mark.slow
def test_ray_shows_the_last_values_to_prometheus(ray_cluster, tmp_path: Path):
    @ray.remote
    class Worker:
        def __init__(self) -> None:
            self.log = RunLog(tmp_path, update=0, loggers=("ray",))

        def write(self) -> None:
            self.log.write({"update": 7, "loss": {"pages": 2.5}, "seconds": 1.5})

    worker: Any = Worker.remote()
    ray.get(worker.write.remote())
    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    found, deadline = "", time.monotonic() + 60
    while "flamboyance_loss" not in found and time.monotonic() < deadline:
        time.sleep(1)
        found = urllib.request.urlopen(address, timeout=10).read().decode()

    (line,) = [line for line in found.splitlines() if line.startswith("ray_flamboyance_loss{")]
    assert 'of="pages"' in line
    assert f'run="{tmp_path.name}"' in line
    assert line.endswith(" 2.5")
    assert "ray_flamboyance_update{" in found


@pytest.mark.slow
def test_weights_and_biases_know_a_run_that_goes_on_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    write(tmp_path, "wandb", 1, 2)
    write(tmp_path, "wandb", 3)

    identity = json.loads((tmp_path / RUNS).read_text())["wandb"]
    files = list(tmp_path.glob(f"wandb/offline-run-*-{identity}/run-{identity}.wandb"))
    assert files
    assert any(b"loss/pages" in file.read_bytes() for file in files)


@pytest.mark.slow
def test_mlflow_has_every_update_of_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("mlflow", reason="MLflow is an extra")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'server'}")
    folder = tmp_path / "run"
    folder.mkdir()
    write(folder, "mlflow", 1, 2)
    write(folder, "mlflow", 3)

    client = importlib.import_module("mlflow").MlflowClient()
    identity = json.loads((folder / RUNS).read_text())["mlflow"]
    points = client.get_metric_history(identity, "loss/pages")
    assert sorted((point.step, point.value) for point in points) == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert client.get_run(identity).data.tags["note 2"] == "it leapt"
