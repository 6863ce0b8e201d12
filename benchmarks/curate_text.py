"""Rules on text: documents a second on one core, and as many times datatrove's Gopher filters on the same documents.

    python -m benchmarks.curate_text --datatrove /path/to/its/environment/bin/python

Ours measures every document in full. datatrove stops at the first rule that is broken, and parts words with spaCy,
which is most of its time; the figures say what is left of the ratio without that.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from jobs.command import InputError, run_command
from pipeline.rules import quality, repetition
from pipeline.rules.bounds import Bounds, refusal
from pipeline.rules.text import document_language, measure_document, measure_paragraph

GOPHER = quality.MEASURES.keys() | repetition.MEASURES.keys()
LEAST_RATIO = 3.0
"""Of our speed to datatrove's (issue 5)."""


@dataclass(frozen=True, kw_only=True)
class TextBenchmarkConfig:
    """A run of `benchmarks.curate_text`."""

    datatrove: Path
    """The interpreter of an environment with datatrove[processing] 0.9.0 and spacy."""
    material: Path = Path("../shared/material")
    """Folder with the real material."""
    recipe: Path = Path("recipes/curate/m3w.yaml")
    """The preset whose thresholds of Gopher's rules ours are held against."""
    rounds: int = 3
    """Rounds in which ours and datatrove take turns; a figure is the median over them."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be 1 at least")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` and returns its exit code."""
    return run_command(TextBenchmarkConfig, run, __doc__ or "", argv)


def run(config: TextBenchmarkConfig) -> None:
    """Prints a figure a line, and one line of JSON."""
    figures = text_figures(real_texts(config.material), config)
    for name, value in figures.items():
        print(f"{name:44} {value:.4g}")
    must = {"value": figures["text_rules_ratio_to_datatrove"], "must": f">= {LEAST_RATIO:g}"}
    print(json.dumps({"targets": {"text_rules_ratio_to_datatrove": must}, "figures": figures}))


def real_texts(material: Path) -> list[str]:
    """The texts of WCXB's pages that people marked, of seven kinds of page. Raises InputError if they are absent."""
    file = material / "pages" / "wcxb" / "ground-truth.json"
    if not file.is_file():
        raise InputError(f"{file} is absent; name the folder of the real material with --material")
    texts = [page["articleBody"] for page in json.loads(file.read_text()).values()]
    return [text for text in texts if text.strip()]


def text_figures(texts: Sequence[str], config: TextBenchmarkConfig) -> dict[str, float]:
    """Every figure by its name, of `texts`; CPU time throughout."""
    rounds = [_round(texts, config.datatrove) for _ in range(config.rounds)]
    seconds = {name: median(turn[name] for turn in rounds) for name in rounds[0] if name != "reasons"}
    ratios = [turn["datatrove"] / turn["gopher"] for turn in rounds]
    bare_ratios = [(turn["datatrove"] - turn["datatrove_tokeniser"]) / turn["gopher"] for turn in rounds]
    return {
        "documents": float(len(texts)),
        "text_rules_ratio_to_datatrove": median(ratios),
        "ratio_without_datatroves_tokeniser": median(bare_ratios),
        **{f"{name}_per_second": len(texts) / second for name, second in seconds.items()},
        **_verdicts(texts, rounds[0]["reasons"], config.recipe),
    }


def _round(texts: Sequence[str], datatrove: Path) -> dict[str, Any]:
    """CPU seconds by what was done to all `texts`, and datatrove's reasons."""
    peer = _datatrove(texts, datatrove)
    return {
        "datatrove": peer["seconds"],
        "datatrove_tokeniser": peer["tokeniser_seconds"],
        "reasons": peer["reasons"],
        "gopher": _seconds(_gopher, texts),
        "language": _seconds(document_language, texts),
        "every_measure_of_a_document": _seconds(measure_document, texts),
        "every_measure_of_its_paragraphs": _seconds(_paragraphs, texts),
    }


def _gopher(text: str) -> dict[str, float]:
    return {**quality.measure_quality(text), **repetition.measure_repetition(text)}


def _paragraphs(text: str) -> list[dict[str, float]]:
    language = document_language(text)
    return [measure_paragraph(paragraph, language) for paragraph in text.split("\n\n")]


def _seconds(measure: Callable[[str], object], texts: Sequence[str]) -> float:
    measure(texts[0])  # what is loaded once is not counted
    started = time.process_time()
    for text in texts:
        measure(text)
    return time.process_time() - started


def _datatrove(texts: Sequence[str], interpreter: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("datatrove_peer.py")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts))
        try:
            done = subprocess.run([interpreter, script, file], capture_output=True, text=True, check=True)
        except OSError as error:
            raise InputError(f"datatrove is {interpreter}, which cannot be run: {error}") from None
        except subprocess.CalledProcessError as error:
            raise InputError(f"datatrove's filters failed in {interpreter}: {error.stderr[-500:].strip()}") from None
    return json.loads(done.stdout.splitlines()[-1])


def _verdicts(texts: Sequence[str], theirs: Sequence[str], recipe: Path) -> dict[str, float]:
    """Documents that Gopher's rules keep, ours and datatrove's, and on how many both say the same."""
    rules = _gopher_rules(recipe)
    kept = [refusal(_gopher(text), rules) is None for text in texts]
    same = sum(ours == (not reason) for ours, reason in zip(kept, theirs, strict=True))
    return {
        "kept": float(sum(kept)),
        "kept_by_datatrove": float(sum(not reason for reason in theirs)),
        "same_verdict": float(same),
    }


def _gopher_rules(recipe: Path) -> Mapping[str, Bounds]:
    rules = yaml.safe_load(recipe.read_text())["document"]
    return {name: Bounds(**bounds) for name, bounds in rules.items() if name in GOPHER}


if __name__ == "__main__":
    raise SystemExit(main())
