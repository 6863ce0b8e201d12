"""Adapters of OpenFlamingo into ours and back: `python -m model.convert --preset openflamingo-9b FILE FOLDER`.

    python -m model.convert --to_open_flamingo FOLDER FILE

A preset's backbones may be named anew with `--vision` and `--language`. IDEFICS's adapters are refused with what sets
them apart.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.flamingo import Flamingo
from model.open_flamingo import adapters_from_open_flamingo, adapters_to_open_flamingo, flat
from model.presets import PRESETS

IDEFICS = "model.gated_cross_attn_layers."
IDEFICS_DIFFERENCES = (
    "these are IDEFICS's adapters, which cannot be expressed here: its blocks have RMS norms, a gated SiLU"
    " feed-forward and self-contained LLaMA attention, its resampler norms queries and keys by head, and its text"
    " attends to the images by a mask of its own"
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors by name from safetensors or, without unpickling anything but tensors, from torch's own format.

    Raises ValueError where the file is neither, and on IDEFICS's adapters.
    """
    try:
        whole: Mapping[str, object]
        if path.suffix == ".safetensors":
            whole = load_file(path)
        else:
            whole = torch.load(path, map_location="cpu", weights_only=True)
        state = flat(whole)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a checkpoint: {error}") from error
    if any(name.startswith(IDEFICS) for name in state):
        raise ValueError(f"{path}: {IDEFICS_DIFFERENCES}")
    return state


def to_ours(preset: str, source: Path, folder: Path, *, vision: str | None, language: str | None) -> None:
    """Write OpenFlamingo's checkpoint as a folder of our adapters. Raises ValueError where it does not fit."""
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}, and must be one of {', '.join(PRESETS)}")
    state = read_checkpoint(source)
    config = PRESETS[preset]
    config = replace(config, vision=vision or config.vision, language=language or config.language)
    flamingo = Flamingo.from_backbones(config)
    flamingo.load_adapter_state_dict(adapters_from_open_flamingo(state, flamingo))
    flamingo.save_pretrained(folder)


def to_theirs(folder: Path, target: Path) -> None:
    """Write a folder of our adapters in OpenFlamingo's layout, as safetensors or in torch's own format."""
    state = adapters_to_open_flamingo(Flamingo.from_pretrained(folder))
    if target.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, target)
    else:
        torch.save(state, target)


def main(argv: list[str] | None = None) -> int:
    """Convert one way or the other; the exit code is 2 for bad input."""
    parser = ArgumentParser(prog="python -m model.convert", description="OpenFlamingo's adapters into ours, and back.")
    parser.add_argument("source", type=Path, help="OpenFlamingo's file, or with --to_open_flamingo our folder")
    parser.add_argument("target", type=Path, help="our folder, or with --to_open_flamingo OpenFlamingo's file")
    parser.add_argument("--preset", default="openflamingo-9b", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--vision", default=None, help="vision encoder instead of the preset's")
    parser.add_argument("--language", default=None, help="language model instead of the preset's")
    parser.add_argument("--to_open_flamingo", action="store_true", help="from ours to OpenFlamingo's")
    given = parser.parse_args(argv)
    try:
        if given.to_open_flamingo:
            to_theirs(given.source, given.target)
        else:
            to_ours(given.preset, given.source, given.target, vision=given.vision, language=given.language)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
