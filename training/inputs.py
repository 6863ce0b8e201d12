"""What a run is given, checked in the driver before any worker starts."""

import dataclasses
import os
import secrets
from pathlib import Path

from transformers import AutoConfig

from jobs.command import InputError
from jobs.connect import resolve
from model.adapters import read_without_weights
from model.hub import MAIN
from shards.dataset import open_dataset
from shards.errors import DatasetError
from shards.location import Location
from training.config import TrainingConfig
from training.data.lanes import LANES


def with_absolute_paths(config: TrainingConfig) -> TrainingConfig:
    """The config as the workers need it, which run in folders of their own.

    Raises InputError for an output that is not a folder, and for relative paths under `ray job submit`.
    """
    output = resolve("output", config.output)
    if not output.is_local:
        raise InputError(f"output is {config.output!r}; training appends to its log, so it must be a folder")
    model = dataclasses.replace(
        config.model,
        vision=_absolute_model("model.vision", config.model.vision),
        language=_absolute_model("model.language", config.model.language),
    )
    datasets = {
        name: dataclasses.replace(dataset, uri=_absolute(f"datasets.{name}.uri", dataset.uri))
        for name, dataset in config.datasets.items()
    }
    return dataclasses.replace(
        config,
        output=output.path,
        checkpoints=config.checkpoints and _absolute("checkpoints", config.checkpoints),
        init_from=config.init_from and _absolute("init_from", config.init_from),
        model=model,
        datasets=datasets,
    )


def check_shares(config: TrainingConfig) -> None:
    """Raises InputError if workers, as many as there may be, cannot all have as many samples of a batch, and lanes."""
    if config.uneven:
        return
    whole = {f"datasets.{name}.batch": dataset.batch for name, dataset in config.datasets.items()}
    for workers in range(config.least_workers or config.workers, config.workers + 1):
        for name, number in {**whole, "the number of lanes": LANES}.items():
            if number % workers:
                raise InputError(
                    f"{name} is {number}, of which {workers} workers cannot have as much each; choose another number "
                    "of workers, or let them have it unevenly (uneven: true), which takes longer and changes no update"
                )


def check_datasets(config: TrainingConfig) -> dict[str, str]:
    """The SHA-256 of each dataset's manifest. Raises DatasetError where there is none, or no document in it."""
    manifests = dict[str, str]()
    for name, dataset in config.datasets.items():
        manifest = open_dataset(dataset.uri).manifest
        if manifest.documents == 0:
            raise DatasetError(f"dataset {name} in {dataset.uri} holds no documents, so nothing can be trained on it")
        manifests[name] = manifest.sha256
    return manifests


def check_writable(field: str, folder: Location) -> None:
    """Raises InputError if no file can be written to `folder`."""
    probe = folder / f".probe-{secrets.token_hex(8)}"
    try:
        probe.write(b"")
        probe.delete()
    except OSError as error:
        raise InputError(f"{field} {folder} cannot be written to: {error}") from error


def check_backbones(config: TrainingConfig) -> None:
    """Raises InputError if a backbone is neither a folder of a model nor a model on the hub."""
    model = config.model
    backbones = {
        "vision": (model.vision, model.vision_revision),
        "language": (model.language, model.language_revision),
    }
    for field, (source, revision) in backbones.items():
        try:
            AutoConfig.from_pretrained(source, revision=revision or MAIN)
        except (OSError, ValueError) as error:
            raise InputError(
                f"model.{field} is {source!r}, which is no folder with a model and no model on the hub: {error}"
            ) from error


def check_adapters(config: TrainingConfig) -> None:
    """Raises InputError if the run is to begin with adapters that are not there, or are another model's."""
    if not config.init_from:
        return
    folder = Path(config.init_from)
    try:
        read_without_weights(folder).check_config(config.model)
    except ValueError as error:
        raise InputError(f"init_from is {config.init_from!r}: {error}") from error


def _absolute(field: str, uri: str) -> str:
    location = resolve(field, uri)
    return location.path if location.is_local else uri


def _absolute_model(field: str, source: str) -> str:
    """A local folder by its absolute path; a hub id as it is. Raises InputError for a path to no folder."""
    if Path(source).is_dir():
        return _absolute(field, source)
    if os.path.isabs(source) or source.count("/") > 1 or source.startswith("."):
        raise InputError(f"{field} is {source!r}, and there is no such folder")
    return source
