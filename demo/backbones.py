"""`python -m demo.backbones`: trains the demo's nano vision encoder and language model on datasets of its world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich import print
from transformers.utils import logging

from demo.language import LanguageConfig, train_language
from demo.vision import VisionConfig, train_vision
from jobs.command import run_command

VISION, LANGUAGE = "vision", "language"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackbonesConfig:
    """What to train the backbones on, how, and where they go."""

    pairs: str
    """Dataset of image-text pairs: the vision encoder learns from it, and the language model from its text."""
    texts: tuple[str, ...] = ()
    """Further datasets whose text the language model learns from."""
    output: Path
    """Folder for the two Hugging Face folders `vision` and `language`."""
    vision: VisionConfig
    """The vision encoder and its training."""
    language: LanguageConfig
    """The language model and its training."""


def train_backbones(config: BackbonesConfig) -> dict[str, dict[str, float]]:
    """Trains both and returns the figures of each by its folder's name. Leaves PyTorch with a single thread."""
    logging.disable_progress_bar()
    # Matrices this small gain little from a second thread, and on busy cores the two wait for each other: the
    # language model took 432 s with two threads beside other work and 22 s with one.
    torch.set_num_threads(1)
    figures = {VISION: train_vision(config.pairs, config.output / VISION, config.vision)}
    print(summary(VISION, figures[VISION]))
    uris = (config.pairs, *config.texts)
    figures[LANGUAGE] = train_language(uris, config.output / LANGUAGE, config.language)
    print(summary(LANGUAGE, figures[LANGUAGE]))
    return figures


def summary(name: str, figures: Mapping[str, float]) -> str:
    """One line: `vision: pairs 1437, accuracy 0.99, ...`."""
    return f"{name}: " + ", ".join(f"{figure} {value:.4g}" for figure, value in figures.items())


def run(config: BackbonesConfig) -> None:
    """The command: its figures are printed, not returned."""
    train_backbones(config)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(BackbonesConfig, run, "Train the demo's nano backbones on datasets.", argv)


if __name__ == "__main__":
    raise SystemExit(main())
