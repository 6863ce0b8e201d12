"""Extraction on real pages: agreement with what a reader would keep, and speed, beside peers.

The open pages are those that the content model is trained on. So that the figures say something about pages that it has
never seen, each page is judged by a model that was trained without it (`--folds`); speed is that of the shipped model.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.labelled_images import score_labelled
from benchmarks.pages import PageSet, SavedPage, read_sets
from benchmarks.peers import BARE_WALK, OURS, Block, Extractor, installed_extractors, missing_peers
from benchmarks.report import machine, print_table, targets
from benchmarks.scores import in_wcxb_mix, score, score_pages
from benchmarks.speed import cpu_seconds, share_of
from benchmarks.train_salience import SalienceConfig, held_out_models
from jobs.command import run_command
from pipeline.extract import extract
from pipeline.extraction.salience import Models

LABELS = Path(__file__).parents[1] / "tests" / "pipeline" / "wcxb_images.json"
"""The pictures of forty pages of wcxb, labelled by hand."""


@dataclass(frozen=True, kw_only=True)
class ExtractionBenchmarkConfig:
    """A run of `benchmarks.extraction`."""

    material: str = "../shared/material"
    """Folder of real material, with pages/readability, pages/aeb and pages/wcxb."""
    scorers: str = "../shared/bench"
    """Folder with interleave_score.py and article_score.py."""
    output: str = "runs/extraction"
    """Folder for predictions, results by page and figures.json."""
    rounds: int = 5
    """How often the speed of each extractor is measured; the medians count."""
    folds: int = 5
    """Models are trained without each of so many parts of the pages; 0 scores the shipped model, which saw them all."""
    extra: Path | None = None
    """Folder of further marked pages to train on, as `benchmarks.fixture_pages` makes it."""
    peers: bool = True
    """Also run trafilatura and readability-lxml, which take nine tenths of the time."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or greater")
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"folds is {self.folds}; it must be 2 or greater, or 0")


def run(config: ExtractionBenchmarkConfig) -> None:
    """Predicts, scores, measures speed, prints the table and the JSON line."""
    started = time.monotonic()
    sets = read_sets(Path(config.material), Path(config.scorers))
    extractors = installed_extractors(config.peers)
    output = Path(config.output)
    salience = SalienceConfig(material=Path(config.material), labels=LABELS, extra=config.extra)
    models = held_out_models(salience, config.folds) if config.folds else {}
    figures = {extractor.name: _scores(extractor, sets, output, models) for extractor in extractors}
    _add_speed(figures, extractors, sets, config.rounds)
    (output / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_table(figures)
    _print_notes(config, time.monotonic() - started)
    print(json.dumps({"benchmark": "extraction", "targets": targets(figures[OURS]), "machine": machine()}))


def _scores(
    extractor: Extractor, sets: Sequence[PageSet], output: Path, models: Mapping[str, Models]
) -> dict[str, dict[str, Any]]:
    """An extractor's figures by set; its predictions, and for ours the results by page, go to files."""
    figures: dict[str, dict[str, Any]] = {}
    for page_set in sets:
        predictions = {page.id: _predict(extractor, page, models) for page in page_set.pages}
        file = output / extractor.name / f"{page_set.name}.jsonl"
        _write_lines(file, [{"id": page, "blocks": blocks} for page, blocks in predictions.items()])
        if extractor.name == OURS:
            _write_lines(output / f"{page_set.name}-by-page.jsonl", score_pages(page_set, predictions))
        figures[page_set.name] = score(page_set, file)
        if page_set.name == "wcxb":
            figures[page_set.name]["word_f1 in WCXB's mix"] = in_wcxb_mix(figures[page_set.name]["by_type"])
            figures |= _labelled(page_set, predictions)
    return figures


def _predict(extractor: Extractor, page: SavedPage, models: Mapping[str, Models]) -> list[Block]:
    """The blocks of `page`; ours by the models that were trained without it, where there are such."""
    if extractor.name == OURS:
        return extractor.blocks(extract(page.html, page.url, models=models.get(page.id)))
    return extractor.blocks(extractor.run(page.html, page.url))


def _labelled(page_set: PageSet, predictions: Mapping[str, Sequence[Block]]) -> dict[str, dict[str, Any]]:
    found = score_labelled(LABELS, page_set.pages, predictions) if LABELS.exists() else {}
    return {f"{page_set.name} images, {kind}": dict(figures) for kind, figures in found.items()}


def _add_speed(
    figures: dict[str, dict[str, dict[str, Any]]],
    extractors: Sequence[Extractor],
    sets: Sequence[PageSet],
    rounds: int,
) -> None:
    whole = {extractor.name: 0.0 for extractor in extractors}
    for page_set in sets:
        seconds = cpu_seconds(extractors, page_set.pages, rounds)
        for extractor, own in seconds.items():
            whole[extractor] += median(own)
            rate, share = len(page_set.pages) / median(own), share_of(seconds[BARE_WALK], own)
            figures[extractor][page_set.name] |= {
                "pages_per_cpu_second": round(rate, 1),
                "share_of_bare_walk": round(share, 3),
            }
    number = sum(len(page_set.pages) for page_set in sets)
    for extractor, own in whole.items():
        figures[extractor]["all sets"] = {"pages": number, "pages_per_cpu_second": round(number / own, 1)}


def _write_lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    # A lone surrogate that an extractor lets through becomes a question mark, and is scored as one.
    file.write_text("".join(lines), encoding="utf-8", errors="replace")


def _print_notes(config: ExtractionBenchmarkConfig, seconds: float) -> None:
    if config.peers and missing_peers():
        print(f"left out, not installed: {', '.join(missing_peers())}; pip install -e '.[bench]' -c constraints.txt")
    if not LABELS.exists():
        print(f"left out: images on wcxb, because {LABELS} is absent")
    if not config.folds:
        print(f"{OURS} has seen these pages: its agreement says nothing about others; --folds 5 does")
    print(f"{seconds:,.0f} s; predictions, {OURS}'s pages from the worst on, and figures.json: {config.output}")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(ExtractionBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
