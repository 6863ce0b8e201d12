"""How far a run is, and what a group of workers is started for.

The driver needs no more than this; DeepSpeed is imported by the workers alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.errors import DatasetError
from shards.location import Location, locate
from training.config import TrainingConfig

CHECKPOINTS = "checkpoints"
ADAPTERS = "adapters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    update: int
    """Updates made."""
    given: Mapping[str, int]
    """Samples that each dataset has given, to all workers together: the whole state of its loader."""
    datasets: Mapping[str, str]
    """The SHA-256 of each dataset's manifest, since the order of samples follows from it."""
    skipped: int = 0
    """Updates among them that made no step, because their gradient was not finite."""

    @property
    def steps(self) -> int:
        """Steps of the optimiser."""
        return self.update - self.skipped

    def check_datasets(self, found: Mapping[str, str]) -> None:
        """Raises DatasetError if a dataset is no longer the one that the run began with."""
        for name, sha256 in self.datasets.items():
            if found.get(name) != sha256:
                raise DatasetError(
                    f"dataset {name} has changed since the run's update {self.update}: its manifest's sha256 is "
                    f"{found.get(name)} and was {sha256}; restore it, or begin a new run in another output folder"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a group of workers is started for."""

    config: TrainingConfig
    """With absolute paths."""
    progress: Progress
    """Where to begin."""
    stop: int
    """The update to stop after."""

    @property
    def output(self) -> Path:
        return Path(self.config.output)

    @property
    def checkpoints(self) -> Location:
        return checkpoints_of(self.config)

    @property
    def checkpoint(self) -> Location | None:
        """What to begin with, or None for new adapters."""
        return checkpoint_folder(self.checkpoints, self.progress.update) if self.progress.update else None


def checkpoints_of(config: TrainingConfig) -> Location:
    """Where the checkpoints of the run lie, a folder each."""
    return locate(config.checkpoints or str(Path(config.output, CHECKPOINTS)))


def checkpoint_folder(checkpoints: Location, update: int) -> Location:
    return checkpoints / f"update-{update:09d}"
