"""Tiny random backbones, saved as ordinary Hugging Face folders, and Flamingos made of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    MptForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    ResNetConfig,
    ResNetModel,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTModel,
)

from model.flamingo import Flamingo, FlamingoConfig

WORDS = "<unk> <bos> <eos> red green blue a picture of the sky and grass is here now".split()
LM: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
SPARE: dict[str, Any] = LM | {"vocab_size": len(WORDS) + 2}
"""More rows than the tokenizer has tokens, as Pythia has; and AutoTokenizer adds a token to Qwen2's."""
TOWER: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
PATCHES: dict[str, Any] = {"image_size": 16, "patch_size": 8}
TEXT = TOWER | {"vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}

LANGUAGE_MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LM, intermediate_size=64)),
    "llama-tied": lambda: LlamaForCausalLM(LlamaConfig(**LM, intermediate_size=64, tie_word_embeddings=True)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**LM, ffn_dim=64, word_embed_proj_dim=24)),
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SPARE, intermediate_size=64)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SPARE, intermediate_size=64, num_key_value_heads=1)),
    "mpt": lambda: MptForCausalLM(MptConfig(vocab_size=len(WORDS), d_model=32, n_layers=2, n_heads=2)),
}
VISION_ENCODERS: dict[str, Callable[[], PreTrainedModel]] = {
    "vit": lambda: ViTModel(ViTConfig(**TOWER, **PATCHES), add_pooling_layer=False),
    "clip": lambda: CLIPModel(CLIPConfig(vision_config=TOWER | PATCHES, text_config=TEXT)),
    "siglip": lambda: SiglipModel(SiglipConfig(vision_config=TOWER | PATCHES, text_config=TEXT)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, **PATCHES)),
    "convnext": lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, patch_size=4)),
    "resnet": lambda: ResNetModel(
        ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8, layer_type="basic")
    ),
}


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
        flamingo = Flamingo.from_backbones(tiny(family, **changes))
        with torch.no_grad():
            for name, parameter in flamingo.named_parameters():
                if name.endswith("_gate"):
                    parameter.fill_(gates)
        return flamingo

    return build_flamingo


@pytest.fixture
def picture() -> Callable[[str], Image.Image]:
    """A picture of one colour, wider than it is high."""
    return lambda colour: Image.new("RGB", (20, 10), colour)
