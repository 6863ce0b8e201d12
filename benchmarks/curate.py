"""Curation: text rules beside datatrove's, near-duplicates beside brute force, measures of images, and growth.

    python -m benchmarks.curate --datatrove /path/to/its/environment/bin/python

Each part is a benchmark of its own as well: curate_text.py, curate_duplicates.py, curate_images.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.curate_duplicates import FEW, MANY, duplicate_figures, growth_figures
from benchmarks.curate_images import ImagesBenchmarkConfig, image_figures
from benchmarks.curate_text import TextBenchmarkConfig, real_texts, text_figures
from benchmarks.report import machine
from jobs.command import run_command
from jobs.connect import connect

MUST = {
    "text_rules_ratio_to_datatrove": (">=", 3.0),
    "near_duplicate_recall": (">=", 0.98),
    "near_duplicate_precision": (">=", 0.98),
    "time_growth_10x": ("<=", 12.0),
}
"""What each figure has to be (issue 5)."""


@dataclass(frozen=True, kw_only=True)
class CurateBenchmarkConfig:
    """A run of `benchmarks.curate`."""

    datatrove: Path
    """The interpreter of an environment with datatrove[processing] 0.9.0 and spacy."""
    material: Path = Path("../shared/material")
    """Folder with the real material."""
    rounds: int = 3
    """Rounds in which ours and others take turns; a figure is the median over them."""
    few: int = FEW
    """Documents of the smaller of two runs from which growth is measured."""
    many: int = MANY
    """Documents of the larger one."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or greater")
        if not 0 < self.few < self.many:
            raise ValueError(f"few is {self.few} and many is {self.many}; few must be from 1 to less than many")


def run(config: CurateBenchmarkConfig) -> None:
    """Prints a figure a line, part by part, and one line of JSON."""
    figures: dict[str, Any] = {}
    for part in (_text, _images, _duplicates):
        found = part(config)
        for name, value in found.items():
            print(f"{name:44} {value}", flush=True)
        figures |= found
    print(json.dumps({"benchmark": "curate", "targets": targets(figures), "figures": figures, "machine": machine()}))


def targets(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Figures that have to be something, beside what they have to be."""
    return {name: {"value": figures[name], "must": f"{side} {bound:g}"} for name, (side, bound) in MUST.items()}


def _text(config: CurateBenchmarkConfig) -> Mapping[str, Any]:
    settings = TextBenchmarkConfig(datatrove=config.datatrove, material=config.material, rounds=config.rounds)
    return text_figures(real_texts(config.material), settings)


def _images(config: CurateBenchmarkConfig) -> Mapping[str, Any]:
    return image_figures(ImagesBenchmarkConfig(material=config.material, rounds=config.rounds))


def _duplicates(config: CurateBenchmarkConfig) -> Mapping[str, Any]:
    with TemporaryDirectory() as folder:
        figures = duplicate_figures(config.material, Path(folder, "pairs"))
        connect()
        return figures | growth_figures(config.material, Path(folder, "growth"), config.few, config.many)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(CurateBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
