"""Models by their name on the Hugging Face hub or their folder, loaded whole or not at all.

Weights are read from safetensors alone, code that comes with a model is never run, and a model that lacks weights is
refused: transformers would draw them at random.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer

from pipeline.pixels import Pixels
from pipeline.scoring.config import ModelConfig
from pipeline.scoring.revisions import HASHED, ModelError, cannot_load, find_revision, first_sentence, is_folder

Inputs = Mapping[str, Tensor]
"""What a processor or a tokenizer makes for a model."""
PROBE = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
"""A picture to try a model on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionModel:
    """A model, and what prepares pictures for it."""

    network: Any
    processor: Any
    device: torch.device

    def prepare(self, pictures: Sequence[Pixels]) -> Inputs:
        """Pictures of `uint8[height, width, 3]` as the model takes them, still on the CPU."""
        return dict(self.processor(images=list(pictures), return_tensors="pt", input_data_format="channels_last"))


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
        raise cannot_load(config, error) from error
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
        raise cannot_load(config, error) from error
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


def check_numbers(config: ModelConfig, numbers: Callable[[Pixels], Iterable[float]]) -> None:
    """Tries the model of `config` on a picture: raises ModelError if that fails, or if `numbers` are none."""
    try:
        found = list(numbers(PROBE))
    except Exception as error:  # a processor of another model, a size that does not fit, ...
        raise ModelError(f"model {config.model!r} fails on a picture: {first_sentence(error)}") from error
    if not all(map(math.isfinite, found)):
        raise ModelError(f"model {config.model!r} gives {found} for a picture; its weights are broken")


def on_device(inputs: Inputs, device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def _origin(config: ModelConfig) -> dict[str, Any]:
    """Where transformers finds the files of a pinned model."""
    revision = {} if is_folder(config) else {"revision": config.revision}
    return {"pretrained_model_name_or_path": config.model, "trust_remote_code": False, **revision}
