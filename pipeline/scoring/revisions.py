"""Which model a name stands for now: a commit on the Hugging Face hub, or what is in a folder."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from huggingface_hub import hf_hub_download

from pipeline.scoring.config import ClassifierConfig, DetectorConfig, ModelConfig, ScoringConfig, SimilarityConfig

Config = TypeVar("Config", ClassifierConfig, DetectorConfig, SimilarityConfig)
HASHED = "sha256:"
"""How the revision of a folder begins."""


class ModelError(ValueError):
    """A model cannot be used; the message says which and why, in one sentence."""


def pin_models(config: ScoringConfig) -> ScoringConfig:
    """`config` with each model as it is now: on the hub at a commit, or in a folder by its whole path and a hash.

    Raises ModelError if there is no such model.
    """
    return replace(
        config,
        classifiers=[_pinned(model) for model in config.classifiers],
        detectors=[_pinned(model) for model in config.detectors],
        similarity=_pinned(config.similarity) if config.similarity else None,
    )


def _pinned(config: Config) -> Config:
    model = str(Path(config.model).resolve()) if is_folder(config) else config.model
    return replace(config, model=model, revision=find_revision(config))


def find_revision(config: ModelConfig) -> str:
    """The commit of a model on the hub, or a hash of the files in its folder. Raises ModelError if there is none."""
    if is_folder(config):
        return _hash_of_folder(Path(config.model))
    if config.model.count("/") != 1 or config.model.startswith(("/", ".")):
        raise ModelError(
            f"model {config.model!r} is no folder; give one, or a name on the Hugging Face hub: owner/model"
        )
    try:
        file = hf_hub_download(config.model, "config.json", revision=config.revision)
    except Exception as error:  # the hub's client raises what it likes over names, networks and permissions
        raise cannot_load(config, error) from error
    return Path(str(file)).parent.name  # the cache has a folder for each commit


def is_folder(config: ModelConfig) -> bool:
    return Path(config.model).is_dir()


def _hash_of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return HASHED + digest.hexdigest()


def cannot_load(config: ModelConfig, error: Exception) -> ModelError:
    return ModelError(f"model {config.model!r} cannot be loaded: {first_sentence(error)}")


def first_sentence(error: Exception) -> str:
    """Of what may be pages, without its full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0].rstrip(".")
