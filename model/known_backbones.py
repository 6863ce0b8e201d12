"""The configs of the presets' backbones, so that what a run costs can be reckoned without asking the hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.presets import CLIP, NFNET


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionShape:
    """A vision encoder of which no more than these numbers is needed."""

    size: int
    """Side of the pictures that it takes, in pixels."""

    grid: int
    """Side of the square of features that it gives."""

    width: int
    """Of a feature."""

    parameters: int
    """Numbers in all of its weights."""

    operations: float
    """Floating-point operations for one picture."""

    live: int
    """Numbers that are kept at once while it looks at one picture."""


VISION_SHAPES: Mapping[str, VisionShape] = {
    NFNET: VisionShape(size=448, grid=14, width=3072, parameters=435_286_116, operations=456.6e9, live=17_064_192),
}
"""timm 1.0.31's dm_nfnet_f6 without its classifier, as torch's FlopCounterMode counts it (229.7 GMACs by its card)."""

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    CLIP: {
        **{"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096},
        **{"num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 224, "patch_size": 14},
    },
    "EleutherAI/pythia-1.4b": {
        **{"model_type": "gpt_neox", "hidden_size": 2048, "intermediate_size": 8192, "vocab_size": 50304},
        **{"num_hidden_layers": 24, "num_attention_heads": 16, "tie_word_embeddings": False},
    },
    "huggyllama/llama-7b": {
        **{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "vocab_size": 32000},
        **{"num_hidden_layers": 32, "num_attention_heads": 32},
    },
    "huggyllama/llama-65b": {
        **{"model_type": "llama", "hidden_size": 8192, "intermediate_size": 22016, "vocab_size": 32000},
        **{"num_hidden_layers": 80, "num_attention_heads": 64},
    },
    "anas-awadalla/mpt-1b-redpajama-200b": {
        **{"model_type": "mpt", "d_model": 2048, "n_layers": 24, "n_heads": 16, "vocab_size": 50432},
    },
    "togethercomputer/RedPajama-INCITE-Base-3B-v1": {
        **{"model_type": "gpt_neox", "hidden_size": 2560, "intermediate_size": 10240, "vocab_size": 50432},
        **{"num_hidden_layers": 32, "num_attention_heads": 32, "tie_word_embeddings": False},
    },
    "mosaicml/mpt-7b": {
        **{"model_type": "mpt", "d_model": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": 50432},
    },
}
"""What transformers' `AutoConfig.for_model` takes, by hub id."""
