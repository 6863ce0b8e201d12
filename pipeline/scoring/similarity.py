"""How well images and texts agree, by a model with two towers: the cosine of their features.

A text longer than the model takes (CLIP: 77 tokens, SigLIP: 64) is cut there, and counted. Texts are padded to that
length, as SigLIP was trained; so a text's features do not depend on its neighbours in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel

from pipeline.pixels import Pixels
from pipeline.scoring.config import SimilarityConfig
from pipeline.scoring.models import (
    Inputs,
    VisionModel,
    check_numbers,
    load_tokenizer,
    load_vision_model,
    on_device,
)
from pipeline.scoring.revisions import ModelError

TOWERS = ("get_image_features", "get_text_features")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTowers:
    """A model for images and texts."""

    model: VisionModel
    tokenizer: Any
    most_tokens: int


def open_towers(config: SimilarityConfig, device: torch.device) -> TwoTowers:
    """Raises ModelError if the model cannot be loaded, has no towers for images and texts, or fails on some."""
    model = load_vision_model(AutoModel, config, device)
    if not all(hasattr(model.network, tower) for tower in TOWERS):
        raise ModelError(
            f"model {config.model!r} is a {type(model.network).__name__}, which lacks {' or '.join(TOWERS)}; "
            "give one like CLIP"
        )
    most_tokens = model.network.config.text_config.max_position_embeddings
    towers = TwoTowers(model=model, tokenizer=load_tokenizer(config), most_tokens=most_tokens)
    check_numbers(config, partial(_cosine, towers))
    return towers


def _cosine(towers: TwoTowers, picture: Pixels) -> list[float]:
    """How much `picture` is like a picture."""
    texts, _ = embed_texts(towers, ["a picture"], 1)
    return (embed_images(towers, towers.model.prepare([picture])) @ texts.T).flatten().tolist()


@torch.inference_mode()
def embed_images(towers: TwoTowers, inputs: Inputs) -> Tensor:
    """float[images, width] of length 1."""
    return _features(towers.model.network.get_image_features(**on_device(inputs, towers.model.device)))


@torch.inference_mode()
def embed_texts(towers: TwoTowers, texts: Sequence[str], batch: int) -> tuple[Tensor, int]:
    """float[texts, width] of length 1 for one or more texts, `batch` at a time, and how many were cut."""
    features, cut = list[Tensor](), 0
    for start in range(0, len(texts), batch):
        part = list(texts[start : start + batch])
        encoded = towers.tokenizer(
            part, padding="max_length", truncation=True, max_length=towers.most_tokens, return_tensors="pt"
        )
        cut += sum(bool(encoding.overflowing) for encoding in encoded.encodings)
        features.append(_features(towers.model.network.get_text_features(**on_device(encoded, towers.model.device))))
    return torch.cat(features), cut


def _features(output: Any) -> Tensor:
    """Normalised, on the CPU; older models give the features themselves instead of an output that holds them."""
    features = getattr(output, "pooler_output", output)
    return torch.nn.functional.normalize(features, dim=-1).cpu()
