"""Tiny random backbones, saved as ordinary Hugging Face folders, and Flamingos made of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gates import open_gates
from PIL import Image
from tiny_backbones import LANGUAGE_MODELS, VISION_ENCODERS, WORDS
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from model.flamingo import Flamingo, FlamingoConfig


def save_language_model(folder: Path, family: str) -> None:
    torch.manual_seed(0)
    LANGUAGE_MODELS[family]().save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<bos>", eos_token="<eos>"
    ).save_pretrained(folder)


def save_vision_encoder(folder: Path, family: str) -> None:
    torch.manual_seed(0)
    VISION_ENCODERS[family]().save_pretrained(folder)
    settings = {
        "size": {"height": 16, "width": 16},
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.3, 0.4],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of the tiny backbone of a family, made once. Do not write to it."""
    root = tmp_path_factory.mktemp("backbones")

    def folder_of(family: str) -> str:
        folder = root / family
        if not folder.exists():
            save = save_language_model if family in LANGUAGE_MODELS else save_vision_encoder
            save(folder, family)
        return str(folder)

    return folder_of


@pytest.fixture(scope="session")
def tiny(backbone: Callable[[str], str]) -> Callable[..., FlamingoConfig]:
    """A config of a tiny Flamingo on the language model of a family."""

    def config_of(family: str = "llama", **changes: Any) -> FlamingoConfig:
        fields: dict[str, Any] = {
            "vision": backbone("vit"),
            "language": backbone(family),
            "cross_attention_every": 2,
            "cross_attention_heads": 2,
            "cross_attention_head_width": 8,
            "resampler_layers": 2,
            "resampler_width": 24,
            "resampler_heads": 2,
            "resampler_head_width": 8,
            "latents": 3,
            "time_embeddings": 4,
        }
        return FlamingoConfig(**fields | changes)

    return config_of


@pytest.fixture
def build(tiny: Callable[..., FlamingoConfig]) -> Callable[..., Flamingo]:
    """A Flamingo of a family, its gates set to a number; 0 is how training starts."""

    def build_flamingo(family: str = "llama", *, gates: float = 0.0, **changes: Any) -> Flamingo:
        torch.manual_seed(1)
        return open_gates(Flamingo.from_backbones(tiny(family, **changes)), gates)

    return build_flamingo


@pytest.fixture
def picture() -> Callable[[str], Image.Image]:
    """A picture of one colour, wider than it is high."""
    return lambda colour: Image.new("RGB", (20, 10), colour)
