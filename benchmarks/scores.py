"""Figures of a set's predictions: the scorers, which are outside the project, run as they are."""

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.pages import INTERLEAVED, PageSet
from benchmarks.peers import Block
from jobs.command import InputError

WCXB_MIX = {
    "article": 793,
    "service": 165,
    "product": 119,
    "collection": 117,
    "forum": 113,
    "listing": 99,
    "documentation": 91,
}
"""Pages of each type in WCXB's whole development set (wceb-website.pages.dev/benchmark); its test set is within four
percentage points of it, while the open pages have as many of each."""


def score(page_set: PageSet, predictions: Path) -> dict[str, Any]:
    """The figures that the set's scorer prints; raises InputError with its last words if it fails."""
    command = [sys.executable, str(page_set.scorer), str(page_set.folder), str(predictions)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{page_set.scorer} failed on {predictions}: {done.stderr.strip().rpartition(chr(10))[2]}")
    return json.loads(done.stdout)


def in_wcxb_mix(by_type: Mapping[str, float]) -> float:
    """The mean over page types, each weighted with its share of WCXB."""
    weights = {name: WCXB_MIX[name] for name in by_type}
    return round(sum(by_type[name] * weight for name, weight in weights.items()) / sum(weights.values()), 4)


def score_pages(page_set: PageSet, predictions: Mapping[str, Sequence[Block]]) -> list[dict[str, Any]]:
    """A row a page, the worst first, by the scorer's own functions."""
    scorer = _load(page_set.scorer)
    rows = _interleaved if page_set.scorer.name == INTERLEAVED else _articles
    return sorted(rows(scorer, page_set.folder, predictions), key=lambda row: row["word_f1"])


def _load(scorer: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(scorer.stem, scorer)
    if spec is None or spec.loader is None:
        raise InputError(f"{scorer} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _interleaved(
    scorer: ModuleType, folder: Path, predictions: Mapping[str, Sequence[Block]]
) -> Iterator[dict[str, Any]]:
    for page, blocks in predictions.items():
        word_f1, expected, named, found, placed = scorer.score_page(folder / page, blocks)
        images = {"expected": expected, "named": named, "found": found, "placed": placed}
        yield {"id": page, "word_f1": round(word_f1, 4), "images": images}


def _articles(scorer: ModuleType, folder: Path, predictions: Mapping[str, Sequence[Block]]) -> Iterator[dict[str, Any]]:
    truth = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))

    def words(text: str) -> Counter[str]:
        return Counter(scorer.WORD.findall(text.lower()))

    for page, blocks in predictions.items():
        want = truth[page]["articleBody"]
        have = "\n\n".join(block["text"] for block in blocks if block["type"] == "text")
        counted = {"word_f1": (words(want), words(have)), "shingle_f1": (scorer.shingles(want), scorer.shingles(have))}
        f1s = {name: round(scorer.f1(*scorer.overlap(*pair)), 4) for name, pair in counted.items()}
        yield {"id": page, "page_type": truth[page].get("page_type", "article"), **f1s}
