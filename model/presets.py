"""The shapes that have a name, each on backbones that can be loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from model.config import FlamingoConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageShape:
    """The frozen language model of a preset, for dry runs that load nothing."""

    layers: int
    """Decoder layers."""

    width: int
    """Of its hidden states, in features."""

    parameters: float | None = None
    """Of the model that the preset names."""

    paper_parameters: float | None = None
    """Of Chinchilla, which is not public, in the paper's table."""

    paper_blocks: float | None = None
    """Of the gated blocks in the paper's table."""


CLIP = "openai/clip-vit-large-patch14"
NFNET = "timm/dm_nfnet_f6.dm_in1k"

NANO = FlamingoConfig(
    vision="runs/demo/backbones/vision",
    language="runs/demo/backbones/language",
    cross_attention_heads=4,
    cross_attention_head_width=16,
    resampler_layers=2,
    resampler_width=64,
    resampler_heads=4,
    resampler_head_width=16,
    latents=8,
)

OPEN_FLAMINGO = FlamingoConfig(
    vision=CLIP,
    vision_class_token=False,
    language="anas-awadalla/mpt-1b-redpajama-200b",
    cross_attention_heads=8,
    cross_attention_head_width=64,
    cross_attention_norm_media=False,
    activation="gelu",
    resampler_width=1024,
    resampler_heads=8,
    resampler_head_width=64,
    resampler_final_norm=True,
    time_embeddings=0,
)
"""OpenFlamingo 2.0.1 as `open_flamingo/src` has it: the visual tokens are as wide as CLIP's features."""

PRESETS: Mapping[str, FlamingoConfig] = {
    "nano": NANO,
    "3b": FlamingoConfig(vision=NFNET, language="EleutherAI/pythia-1.4b"),
    "9b": FlamingoConfig(
        vision=NFNET, language="huggyllama/llama-7b", cross_attention_every=4, cross_attention_heads=32
    ),
    "80b": FlamingoConfig(
        vision=NFNET, language="huggyllama/llama-65b", cross_attention_every=7, cross_attention_heads=64
    ),
    "openflamingo-3b": OPEN_FLAMINGO,
    "openflamingo-4b": replace(
        OPEN_FLAMINGO,
        language="togethercomputer/RedPajama-INCITE-Base-3B-v1",
        cross_attention_every=2,
        cross_attention_first=1,
    ),
    "openflamingo-9b": replace(
        OPEN_FLAMINGO, language="mosaicml/mpt-7b", cross_attention_every=4, cross_attention_first=3
    ),
}
"""Pythia-1.4B, LLaMA-7B and LLaMA-65B stand for Chinchilla of 1.4B, 7.1B and 70B: loadable, and of about its size."""

SHAPES: Mapping[str, LanguageShape] = {
    "3b": LanguageShape(layers=24, width=2048, parameters=1.4e9, paper_parameters=1.4e9, paper_blocks=1.2e9),
    "9b": LanguageShape(layers=40, width=4096, parameters=6.7e9, paper_parameters=7.1e9, paper_blocks=1.6e9),
    "80b": LanguageShape(layers=80, width=8192, parameters=65e9, paper_parameters=70e9, paper_blocks=10e9),
    "openflamingo-3b": LanguageShape(layers=24, width=2048, parameters=1.3e9),
    "openflamingo-4b": LanguageShape(layers=32, width=2560, parameters=2.8e9),
    "openflamingo-9b": LanguageShape(layers=32, width=4096, parameters=6.7e9),
}
"""Table 5 of the paper for 3b, 9b and 80b (LLaMA-7B has 32 layers where Chinchilla 7B has 40), and OpenFlamingo's."""
