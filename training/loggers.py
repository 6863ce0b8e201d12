"""Where the numbers of a run's log go besides `log.jsonl`: curves for whoever reads them.

A logger takes the curves of one update after the other, by name (`loss/pages`), and sentences. Libraries that are
extras are imported only here, where they were asked for.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ray.util.metrics import Gauge
from torch.utils.tensorboard import SummaryWriter

from jobs.command import InputError
from training.config import LoggerName

EXTRAS = ("wandb", "mlflow")
"""Loggers whose library, of the same name, may not be installed."""
RUNS = "loggers.json"
"""In the run's folder: the ids under which services know it, so that a run that goes on is the same one there."""


class Logger(Protocol):
    """One place for curves."""

    def add(self, update: int, curves: Mapping[str, float]) -> None:
        """Adds the points of an update."""
        ...

    def note(self, update: int, sentence: str) -> None:
        """Adds a sentence about an update."""
        ...

    def close(self) -> None: ...


def check_loggers(names: Sequence[LoggerName]) -> None:
    """Raises InputError if the library of a logger is not installed."""
    for name in names:
        if name in EXTRAS and find_spec(name) is None:
            raise InputError(f"loggers names {name}, which is not installed: pip install 'flamboyance[{name}]'")


def open_loggers(names: Sequence[LoggerName], folder: Path, update: int) -> list[Logger]:
    """Those of the run in `folder`, which goes on behind that update. Raises InputError if one refuses."""
    makers: Mapping[LoggerName, Callable[[Path, int], Logger]] = {
        "tensorboard": TensorBoard,
        "ray": RayMetrics,
        "wandb": WeightsAndBiases,
        "mlflow": MLflow,
    }
    return [makers[name](folder, update) for name in names]


class TensorBoard:
    """Event files in the run's folder."""

    def __init__(self, folder: Path, update: int) -> None:
        self._board = SummaryWriter(folder / "tensorboard", purge_step=update + 1)

    def add(self, update: int, curves: Mapping[str, float]) -> None:
        for name, value in curves.items():
            self._board.add_scalar(name, value, update)

    def note(self, update: int, sentence: str) -> None:
        self._board.add_text("notes", sentence, update)

    def close(self) -> None:
        self._board.close()


class RayMetrics:
    """Ray's gauges, which each node of a cluster shows to Prometheus: `ray_flamboyance_loss{run="mine",of="pages"}`."""

    def __init__(self, folder: Path, update: int) -> None:
        self._run = folder.name
        self._gauges = dict[str, Gauge]()

    def add(self, update: int, curves: Mapping[str, float]) -> None:
        for name, value in {**curves, "update": update}.items():
            measure, _, of = name.partition("/")
            if measure not in self._gauges:
                self._gauges[measure] = Gauge(f"flamboyance_{measure}", "As in log.jsonl.", tag_keys=("run", "of"))
            self._gauges[measure].set(value, {"run": self._run, "of": of})

    def note(self, update: int, sentence: str) -> None:
        """Prometheus has no place for words."""

    def close(self) -> None:
        """The last values stay."""


class WeightsAndBiases:
    """A run on Weights & Biases, in the project that WANDB_PROJECT names, or offline with WANDB_MODE=offline."""

    def __init__(self, folder: Path, update: int) -> None:
        wandb: Any = import_module("wandb")
        try:
            self._run = wandb.init(
                dir=str(folder), name=folder.name, id=_identity(folder, "wandb", secrets.token_hex(8)), resume="allow"
            )
        except wandb.Error as error:
            raise InputError(f"loggers names wandb, which cannot begin: {error}") from error
        # W&B's own steps may never go back, and a run that is started again does.
        self._run.define_metric("*", step_metric="update")

    def add(self, update: int, curves: Mapping[str, float]) -> None:
        self._run.log({**curves, "update": update})

    def note(self, update: int, sentence: str) -> None:
        self._run.log({"notes": sentence, "update": update})

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run on the MLflow server that MLFLOW_TRACKING_URI names, in the experiment of MLFLOW_EXPERIMENT_NAME."""

    def __init__(self, folder: Path, update: int) -> None:
        self._mlflow: Any = import_module("mlflow")
        known = _identity(folder, "mlflow", None)
        try:
            run = self._mlflow.start_run(run_id=known, run_name=None if known else folder.name)
        except self._mlflow.MlflowException as error:
            raise InputError(f"loggers names mlflow, which cannot begin: {error}") from error
        self._id = _identity(folder, "mlflow", run.info.run_id)

    def add(self, update: int, curves: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(curves), step=update, synchronous=False)

    def note(self, update: int, sentence: str) -> None:
        self._mlflow.set_tag(f"note {update}", sentence)

    def close(self) -> None:
        self._mlflow.end_run()


def _identity(folder: Path, service: str, new: str | None) -> Any:
    """The id under which the service knows the run; `new`, where there is none yet, is kept."""
    path = folder / RUNS
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if service not in known and new:
        known[service] = new
        path.write_text(json.dumps(known) + "\n", encoding="utf-8")
    return known.get(service)
