"""Extraction on real pages: agreement with what a reader would keep, and speed, beside peers."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.labelled_images import score_labelled
from benchmarks.pages import PageSet, read_sets
from benchmarks.peers import BARE_WALK, OURS, Block, Extractor, installed_extractors, missing_peers
from benchmarks.report import machine, print_table, targets
from benchmarks.scores import in_wcxb_mix, score, score_pages
from benchmarks.speed import cpu_seconds, share_of
from jobs.command import run_command

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
    peers: bool = True
    """Also run trafilatura and readability-lxml, which take nine tenths of the time."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or greater")


def run(config: ExtractionBenchmarkConfig) -> None:
    """Predicts, scores, measures speed, prints the table and the JSON line."""
    started = time.monotonic()
    sets = read_sets(Path(config.material), Path(config.scorers))
    extractors = installed_extractors(config.peers)
    output = Path(config.output)
    figures = {extractor.name: _scores(extractor, sets, output) for extractor in extractors}
    _add_speed(figures, extractors, sets, config.rounds)
    (output / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_table(figures)
    _print_notes(config, time.monotonic() - started)
    print(json.dumps({"benchmark": "extraction", "targets": targets(figures[OURS]), "machine": machine()}))


def _scores(extractor: Extractor, sets: Sequence[PageSet], output: Path) -> dict[str, dict[str, Any]]:
    """An extractor's figures by set; its predictions, and for ours the results by page, go to files."""
    figures: dict[str, dict[str, Any]] = {}
    for page_set in sets:
        predictions = {page.id: extractor.blocks(extractor.run(page.html, page.url)) for page in page_set.pages}
        file = output / extractor.name / f"{page_set.name}.jsonl"
        _write_lines(file, [{"id": page, "blocks": blocks} for page, blocks in predictions.items()])
        if extractor.name == OURS:
            _write_lines(output / f"{page_set.name}-by-page.jsonl", score_pages(page_set, predictions))
        figures[page_set.name] = score(page_set, file)
        if page_set.name == "wcxb":
            figures[page_set.name]["word_f1 in WCXB's mix"] = in_wcxb_mix(figures[page_set.name]["by_type"])
            figures |= _labelled(page_set, predictions)
    return figures


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
    print(f"{seconds:,.0f} s; predictions, {OURS}'s pages from the worst on, and figures.json: {config.output}")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(ExtractionBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
