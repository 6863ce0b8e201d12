"""Which checkpoints of a run are whole, whose they are, and which are kept: a manifest makes a folder one.

CHECKPOINTS/update-000000300/       a folder, or the like of it in an object store
    adapters/                       what `Flamingo.from_pretrained` loads
    optimizer/00000-of-00002.safetensors, ...
    manifest.json                   written last
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from shards.errors import DatasetError
from shards.location import Location
from training.plan import ADAPTERS, Plan, Progress

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The manifest of one."""

    progress: Progress
    objective: float
    """The mean of the loss, all datasets weighted, over the updates since the checkpoint before."""
    run: Mapping[str, Any]
    """The settings of its run on which its adapters depend."""
    files: Mapping[str, str]
    """The SHA-256 of each of its files by path."""


def commit_checkpoint(folder: Location, checkpoint: Checkpoint) -> None:
    """Makes what lies in `folder` a checkpoint, by its manifest."""
    text = json.dumps(dataclasses.asdict(checkpoint), indent=1, sort_keys=True)
    (folder / MANIFEST).write(f"{text}\n".encode())


def read_checkpoint(folder: Location) -> Checkpoint:
    """Raises DatasetError if the manifest in `folder` is not a checkpoint's."""
    try:
        record = json.loads((folder / MANIFEST).read())
        return Checkpoint(**{**record, "progress": Progress(**record["progress"])})
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{folder / MANIFEST} is not a checkpoint's manifest: {error}") from None


def whole_checkpoints(checkpoints: Location) -> Iterator[Location]:
    """The folders in `checkpoints` that have a manifest, newest first."""
    return (folder for folder in _folders(checkpoints) if (folder / MANIFEST).exists())


def last_checkpoint(checkpoints: Location) -> tuple[Location, Checkpoint] | None:
    """The last whole one, or None where there is none. Raises DatasetError if its manifest is not a checkpoint's."""
    folder = next(whole_checkpoints(checkpoints), None)
    return (folder, read_checkpoint(folder)) if folder else None


def check_files(folder: Location, files: Iterable[tuple[str, str]]) -> None:
    """Raises DatasetError if one of the `files` of the checkpoint in `folder`, path and SHA-256, has another."""
    for name, sha256 in files:
        if (folder / name).sha256() != sha256:
            raise DatasetError(
                f"{folder / name} has changed since it was written: its sha256 is not the manifest's; restore it, or "
                f"delete {folder} to go on from the checkpoint before"
            )


def where_it_stands(plan: Plan, rank: int, world: int) -> Plan:
    """The plan from the last whole checkpoint on: where Ray starts workers anew, the driver's plan is older.

    The driver has held the files of its plan's checkpoint against the manifest; those of a later one are dealt out to
    the ranks. Raises DatasetError if one has changed.
    """
    found = last_checkpoint(plan.checkpoints)
    if not found or found[1].progress == plan.progress:
        return plan
    folder, checkpoint = found
    check_files(folder, list(checkpoint.files.items())[rank::world])
    return dataclasses.replace(plan, progress=checkpoint.progress)


def prune_checkpoints(checkpoints: Location, keep: int) -> None:
    """Deletes all checkpoints but the last `keep` and the one of the lowest objective; none if `keep` is 0."""
    folders = list(whole_checkpoints(checkpoints)) if keep else []
    best = min(folders[::-1], key=lambda folder: read_checkpoint(folder).objective, default=None)
    for folder in folders[keep:]:
        if folder != best:
            (folder / MANIFEST).delete()  # first, so that a kill leaves nothing that looks whole
            folder.delete_folder()


def delete_unfinished(checkpoints: Location) -> None:
    """Deletes what killed workers left of checkpoints that have no manifest."""
    for folder in _folders(checkpoints):
        if not (folder / MANIFEST).exists():
            folder.delete_folder()


def fetched_adapters(folder: Location, scratch: Path) -> Path:
    """The adapters of the checkpoint in `folder` on a local disk: where they are, or a copy in `scratch`."""
    names = [name for name in read_checkpoint(folder).files if name.startswith(f"{ADAPTERS}/")]
    return fetched(folder, names, scratch) / ADAPTERS


def fetched(folder: Location, names: Iterable[str], scratch: Path) -> Path:
    """The folder on a local disk: itself, or a copy in `scratch` of those files of it that are named."""
    if folder.is_local:
        return Path(folder.path)
    copy = scratch / folder.name
    for name in names:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        fs.copy_files((folder / name).path, str(copy / name), source_filesystem=folder.filesystem)
    return copy


def _folders(checkpoints: Location) -> list[Location]:
    """Of checkpoints, whole or not, newest first."""
    names = [name for name in checkpoints.folders() if name.startswith("update-")]
    return [checkpoints / name for name in sorted(names, reverse=True)]
