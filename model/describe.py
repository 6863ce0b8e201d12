"""How many parameters a preset has, beside the paper's: `python -m model.describe 3b`. Nothing is loaded."""

import sys
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import AutoConfig

from model.cross_attention import GatedCrossAttention
from model.flamingo import block_shape, resampler_shape
from model.presets import PRESETS, SHAPES, LanguageShape
from model.resampler_ablations import RESAMPLERS

FEATURES = {"timm/dm_nfnet_f6.dm_in1k": 3072, "openai/clip-vit-large-patch14": 1024}
"""Width of the features of the presets' vision encoders."""

PAPER_RESAMPLER, PAPER_VISION = 194e6, 435e6
GAPS = {
    "vision": "counted by the paper, not here",
    "language": "Chinchilla is not public; a model of about its size stands for it",
    "gated blocks": "the paper's own widths give 1.16B, 1.80B and 8.36B; only the first rounds to its number",
    "resampler": "heads of 96, as in v2 of the paper; v1's heads of 128 give its 194M, which v2 kept",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Parameters of what is trained."""

    blocks: int
    """Of all gated blocks."""

    block_number: int
    """How many gated blocks there are."""

    resampler: int
    """With the map from the features' width."""


class Row(NamedTuple):
    """Of the table."""

    part: str
    what: str
    here: float | None
    paper: float | None


def counts(name: str) -> Counts:
    """Built on the meta device, where tensors have shapes and no values."""
    config, language = PRESETS[name], language_shape(name)
    features = FEATURES.get(config.vision, config.resampler_width)
    places = range(config.cross_attention_first, language.layers, config.cross_attention_every)
    with torch.device("meta"):
        block = GatedCrossAttention(block_shape(config, language.width))
        resampler = RESAMPLERS[config.resampler](resampler_shape(config, features))
    return Counts(blocks=len(places) * parameters(block), block_number=len(places), resampler=parameters(resampler))


def parameters(module: nn.Module) -> int:
    """Numbers in all of a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def language_shape(name: str) -> LanguageShape:
    """That of the table, or of the language model that lies in a local folder.

    Raises ValueError on an unknown preset, and where there is no such folder.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}, and must be one of {', '.join(PRESETS)}")
    if name in SHAPES:
        return SHAPES[name]
    try:
        config = AutoConfig.from_pretrained(PRESETS[name].language).get_text_config()
    except (OSError, ValueError) as error:
        raise ValueError(f"preset {name} has its language model in {PRESETS[name].language}: {error}") from error
    return LanguageShape(layers=config.num_hidden_layers, width=config.hidden_size)


def table(name: str) -> Table:
    """A row for each part: what it has here, what the paper says, and why they differ."""
    language, config, found = language_shape(name), PRESETS[name], counts(name)
    of_paper = language.paper_blocks is not None
    lm = f"{config.language}, {language.layers} layers of {language.width}"
    rows = [
        Row("vision", config.vision, None, PAPER_VISION if of_paper else None),
        Row("language", lm, language.parameters, language.paper_parameters),
        Row("gated blocks", f"{found.block_number}", found.blocks, language.paper_blocks),
        Row("resampler", f"{config.resampler_layers} layers", found.resampler, PAPER_RESAMPLER if of_paper else None),
    ]
    shown = Table("part", "what", "parameters", "in the paper", "why they differ", title=name, title_justify="left")
    for row in rows:
        numbers = ("-" if number is None else f"{number / 1e6:,.0f}M" for number in (row.here, row.paper))
        shown.add_row(row.part, row.what, *numbers, GAPS.get(row.part, "") if row.paper else "")
    return shown


def main(argv: list[str] | None = None) -> int:
    """Print the table of a preset; the exit code is 2 for bad input."""
    parser = ArgumentParser(prog="python -m model.describe", description="Parameters of a preset beside the paper's.")
    parser.add_argument("preset", help=f"one of {', '.join(PRESETS)}")
    try:
        Console(width=160).print(table(parser.parse_args(argv).preset))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
