"""A tiny OpenFlamingo whose weights follow from their names, and what it is given; its logits are golden.

    OPEN_FLAMINGO=FOLDER python tests/model/open_flamingo_recipe.py

writes golden/open_flamingo.json anew with OpenFlamingo's own code, of which nothing is copied here. It needs einops and
einops-exts.
"""

import json
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import OPTConfig, OPTForCausalLM

GOLDEN = Path(__file__).parent / "golden" / "open_flamingo.json"
WORDS, WIDTH, FEATURES, LAYERS, EVERY = 20, 16, 12, 4, 2
END, IMAGE, PAD = WORDS, WORDS + 1, WORDS + 2
"""New tokens in OpenFlamingo's order."""
TEXTS = [[2, 5, IMAGE, 7, 8, END, IMAGE, 9, 4], [2, IMAGE, 6, END, 3, 10, 11, IMAGE, 12]]


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """Random numbers that follow from a name; numpy keeps its bit streams."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(0.3 * generator.standard_normal(shape)).float()


def language_model() -> OPTForCausalLM:
    """OPT without the new tokens."""
    lm = OPTForCausalLM(
        OPTConfig(
            vocab_size=WORDS,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            ffn_dim=32,
            num_attention_heads=2,
            max_position_embeddings=32,
            word_embed_proj_dim=WIDTH,
            dropout=0.0,
        )
    )
    fill(lm)
    return lm.eval()


def fill(module: nn.Module, prefix: str = "") -> None:
    """Every parameter as its name says."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(drawn(prefix + name, tuple(parameter.shape)))


def features() -> Tensor:
    """float[rows * images, patches, width]: what a vision encoder would give for two images a row."""
    return drawn("features", (4, 5, FEATURES))


class Patches(nn.Module):
    """In place of a vision encoder."""

    def forward(self, pixels: Tensor) -> tuple[None, Tensor]:
        return None, features()


def golden_logits(folder: str) -> Tensor:
    """float[rows, text, WORDS + 3] by OpenFlamingo."""
    sys.path.insert(0, str(Path(folder) / "open_flamingo"))
    from src.flamingo import Flamingo  # pyright: ignore[reportMissingImports]
    from src.flamingo_lm import FlamingoLMMixin  # pyright: ignore[reportMissingImports]
    from src.utils import extend_instance  # pyright: ignore[reportMissingImports]

    lm: Any = language_model()
    extend_instance(lm, FlamingoLMMixin)
    lm.set_decoder_layers_attr_name("model.decoder.layers")
    lm.resize_token_embeddings(WORDS + 3)
    with torch.no_grad():
        lm.get_input_embeddings().weight[WORDS:] = drawn("new", (3, WIDTH))
    vision = nn.Module()
    vision.visual = Patches()
    model = Flamingo(vision, lm, END, IMAGE, vis_dim=FEATURES, cross_attn_every_n_layers=EVERY).eval()
    fill(model.perceiver, "perceiver.")
    for number, block in enumerate(lm.gated_cross_attn_layers):
        if block is not None:
            fill(block, f"block.{number}.")
    ids = torch.tensor(TEXTS)
    with torch.no_grad():
        return model(torch.zeros(2, 2, 1, 3, 4, 4), ids, torch.ones_like(ids)).logits


if __name__ == "__main__":
    logits = golden_logits(os.environ["OPEN_FLAMINGO"])
    GOLDEN.write_text(json.dumps([[[round(x, 6) for x in token] for token in row] for row in logits.tolist()]) + "\n")
