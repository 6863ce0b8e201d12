"""How far a run is, where that is written down, and what a group of workers is started for.

The driver needs no more than this; DeepSpeed is imported by the workers alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.errors import DatasetError
from training.config import TrainingConfig

CHECKPOINTS = "checkpoints"
ADAPTERS = "adapters"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    update: int
    """Updates made."""
    given: Mapping[str, int]
    """Samples that each dataset has given, to all workers together: the whole state of its loader."""
    datasets: Mapping[str, str]
    """The SHA-256 of each dataset's manifest, since the order of samples follows from it."""

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
    def checkpoint(self) -> Path | None:
        """What to begin with, or None for new adapters."""
        return checkpoint_folder(self.output, self.progress.update) if self.progress.update else None


def last_checkpoint(output: Path) -> Progress | None:
    """The progress at the last whole checkpoint of the run in `output`, or None where there is none.

    Raises DatasetError if its manifest is not one of this program's.
    """
    whole = sorted(output.glob(f"{CHECKPOINTS}/update-*/{MANIFEST}"))
    if not whole:
        return None
    try:
        return Progress(**json.loads(whole[-1].read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{whole[-1]} is not a checkpoint's manifest: {error}") from None


def checkpoint_folder(output: Path, update: int) -> Path:
    return output / CHECKPOINTS / f"update-{update:09d}"
