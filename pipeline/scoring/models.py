"""Models by their name on the Hugging Face hub or their folder: pinned to a revision, and loaded whole or not at all.

Weights are read from safetensors alone, code that comes with a model is never run, and a model that lacks weights is
refused: transformers would draw them at random.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer
from transformers.utils.hub import cached_file

from pipeline.pixels import Pixels
from pipeline.scoring.config import ClassifierConfig, DetectorConfig, ModelConfig, ScoringConfig, SimilarityConfig

Inputs = Mapping[str, Tensor]
"""What a processor or a tokenizer makes for a model."""
Config = TypeVar("Config", ClassifierConfig, DetectorConfig, SimilarityConfig)
HASHED = "sha256:"
"""How the revision of a folder begins."""


class ModelError(ValueError):
    """A model cannot be used; the message says which and why, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionModel:
    """A model, and what prepares pictures for it."""

    network: Any
    processor: Any
    device: torch.device

    def prepare(self, pictures: Sequence[Pixels]) -> Inputs:
        """Pictures of `uint8[height, width, 3]` as the model takes them, still on the CPU."""
        return dict(self.processor(images=list(pictures), return_tensors="pt", input_data_format="channels_last"))


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
    model = str(Path(config.model).resolve()) if _is_folder(config) else config.model
    return replace(config, model=model, revision=find_revision(config))


def find_revision(config: ModelConfig) -> str:
    """The commit of a model on the hub, or a hash of the files in its folder. Raises ModelError if there is none."""
    if _is_folder(config):
        return _hash_of_folder(Path(config.model))
    if config.model.count("/") != 1 or config.model.startswith(("/", ".")):
        raise ModelError(
            f"model {config.model!r} is no folder; give one, or a name on the Hugging Face hub: owner/model"
        )
    try:
        file = cached_file(config.model, "config.json", revision=config.revision)
    except Exception as error:  # the hub's client raises what it likes over names, networks and permissions
        raise _cannot_load(config, error) from error
    return Path(str(file)).parent.name  # the cache has a folder for each commit


def load_vision_model(kind: Any, config: ModelConfig, device: torch.device) -> VisionModel:
    """The model of `config`, pinned, by the transformers class `kind`.

    Raises ModelError if it cannot be loaded, lacks weights, or is another than the one that was pinned.
    """
    if config.revision.startswith(HASHED) and find_revision(config) != config.revision:
        raise ModelError(f"model {config.model!r} is not the same on each node; copy its folder again")
    origin = _origin(config)
    options = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
    try:
        processor = AutoImageProcessor.from_pretrained(**origin)
        network, report = kind.from_pretrained(**origin, **options)
    except Exception as error:  # whatever a stranger's files make of transformers
        raise _cannot_load(config, error) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"model {config.model!r} lacks {len(missing)} of the weights of a {type(network).__name__}, such as "
            f"{missing[0]}; give a model that was trained for this"
        )
    return VisionModel(network=network.requires_grad_(False).eval().to(device), processor=processor, device=device)


def load_tokenizer(config: ModelConfig) -> Any:
    """The tokenizer of `config`, a fast one, which says what it cuts. Raises ModelError if it cannot be loaded."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(**_origin(config))
    except Exception as error:  # as above
        raise _cannot_load(config, error) from error
    if not tokenizer.is_fast:
        raise ModelError(f"model {config.model!r} has no tokenizer.json; save its tokenizer with transformers 5")
    return tokenizer


def label_numbers(config: ModelConfig, network: Any, labels: Sequence[str]) -> list[int]:
    """The numbers that `network` gives to `labels`. Raises ModelError if it does not know one."""
    numbers = {label: int(number) for number, label in network.config.id2label.items()}
    for label in labels:
        if label not in numbers:
            known = ", ".join(sorted(numbers)[:20])
            raise ModelError(f"model {config.model!r} has no label {label!r}; it has {known}")
    return [numbers[label] for label in labels]


def on_device(inputs: Inputs, device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def _origin(config: ModelConfig) -> dict[str, Any]:
    """Where transformers finds the files of a pinned model."""
    revision = {} if _is_folder(config) else {"revision": config.revision}
    return {"pretrained_model_name_or_path": config.model, "trust_remote_code": False, **revision}


def _is_folder(config: ModelConfig) -> bool:
    return Path(config.model).is_dir()


def _hash_of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return HASHED + digest.hexdigest()


def _cannot_load(config: ModelConfig, error: Exception) -> ModelError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0].rstrip(".")
    return ModelError(f"model {config.model!r} cannot be loaded: {reason}")
