"""How far a run is, where that is written down, and what a group of workers is started for.

The driver needs no more than this; DeepSpeed is imported by the workers alone.
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.errors import DatasetError
from shards.location import locate
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
    def checkpoint(self) -> Path | None:
        """What to begin with, or None for new adapters."""
        return checkpoint_folder(self.output, self.progress.update) if self.progress.update else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The manifest of one, which is written last: a folder without it is no checkpoint."""

    progress: Progress
    objective: float
    """The mean of the loss, all datasets weighted, over the updates since the checkpoint before."""
    files: Mapping[str, str]
    """The SHA-256 of each of its files by path."""


def commit_checkpoint(folder: Path, progress: Progress, objective: float) -> None:
    """Makes what lies in `folder` a checkpoint, by its manifest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {str(path.relative_to(folder)): locate(str(path)).sha256() for path in paths}
    manifest = dataclasses.asdict(Checkpoint(progress=progress, objective=objective, files=files))
    text = json.dumps(manifest, indent=1, sort_keys=True)
    locate(str(folder / MANIFEST)).write(f"{text}\n".encode())


def where_it_stands(plan: Plan) -> Plan:
    """The plan from the last whole checkpoint on: where Ray starts workers anew, the driver's plan is older."""
    found = last_checkpoint(plan.output)
    return dataclasses.replace(plan, progress=found) if found else plan


def last_checkpoint(output: Path) -> Progress | None:
    """The progress at the last whole checkpoint of the run in `output`, or None where there is none.

    Raises DatasetError if its manifest is not one of this program's, or its files are not what the manifest says.
    """
    folders = whole_checkpoints(output)
    if not folders:
        return None
    checkpoint = read_checkpoint(folders[-1])
    check_files(folders[-1], checkpoint)
    return checkpoint.progress


def check_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Raises DatasetError if a file of the checkpoint in `folder` is not what its manifest says."""
    for name, sha256 in checkpoint.files.items():
        if locate(str(folder / name)).sha256() != sha256:
            raise DatasetError(
                f"{folder / name} has changed since it was written: its sha256 is not the manifest's; restore it, or "
                f"delete {folder} to go on from the checkpoint before"
            )


def whole_checkpoints(output: Path) -> list[Path]:
    """The folders of the run's checkpoints that have a manifest, oldest first."""
    return [manifest.parent for manifest in sorted(output.glob(f"{CHECKPOINTS}/update-*/{MANIFEST}"))]


def read_checkpoint(folder: Path) -> Checkpoint:
    """Raises DatasetError if the manifest in `folder` is not a checkpoint's."""
    try:
        record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Checkpoint(**{**record, "progress": Progress(**record["progress"])})
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{folder / MANIFEST} is not a checkpoint's manifest: {error}") from None


def prune_checkpoints(output: Path, keep: int) -> None:
    """Deletes all checkpoints but the last `keep` and the one of the lowest objective; none if `keep` is 0."""
    folders = whole_checkpoints(output)
    best = min(folders, key=lambda folder: read_checkpoint(folder).objective)
    for folder in folders[:-keep] if keep else ():
        if folder != best:
            (folder / MANIFEST).unlink()  # first, so that a kill leaves nothing that looks whole
            shutil.rmtree(folder)


def checkpoint_folder(output: Path, update: int) -> Path:
    return output / CHECKPOINTS / f"update-{update:09d}"
