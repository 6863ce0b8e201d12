"""The benchmark of rules on text, with an interpreter that stands in for datatrove's."""

import json
from pathlib import Path

import pytest

from benchmarks.curate_text import TextBenchmarkConfig, main, text_figures
from jobs.command import InputError

RECIPE = Path(__file__).parents[2] / "recipes" / "curate" / "m3w.yaml"
PROSE = "The pot is set on the fire, and the water that it holds has to boil with salt and two spoons of oil. "
TEXTS = [f"{PROSE}{' '.join(f'word{number}' for number in range(60))}", "too short"]


def stand_in(folder: Path, answer: str) -> Path:
    """An interpreter that prints `answer`, whatever it is to run."""
    script = folder / "interpreter"
    script.write_text(f"#!/bin/sh\n{answer}\n")
    script.chmod(0o755)
    return script


def test_figures_compare_speed_and_verdicts(tmp_path):
    peer = {"seconds": 3600, "tokeniser_seconds": 1800, "reasons": ["", ""], "version": "0"}
    interpreter = stand_in(tmp_path, f"echo a line before; echo '{json.dumps(peer)}'")
    figures = text_figures(TEXTS, TextBenchmarkConfig(datatrove=interpreter, recipe=RECIPE, rounds=2))
    assert figures["documents"] == 2
    assert figures["datatrove_per_second"] == pytest.approx(2 / 3600)
    assert figures["text_rules_ratio_to_datatrove"] > 1000
    assert figures["ratio_without_datatroves_tokeniser"] == pytest.approx(
        figures["text_rules_ratio_to_datatrove"] / 2, rel=1e-6
    )
    assert (figures["kept"], figures["kept_by_datatrove"], figures["same_verdict"]) == (1, 2, 1)


def test_a_peer_that_fails_is_named(tmp_path):
    interpreter = stand_in(tmp_path, "echo no module named datatrove >&2; exit 1")
    with pytest.raises(InputError, match=r"failed in \S+interpreter: no module named datatrove"):
        text_figures(TEXTS, TextBenchmarkConfig(datatrove=interpreter, recipe=RECIPE))
    with pytest.raises(InputError, match="absent, which cannot be run"):
        text_figures(TEXTS, TextBenchmarkConfig(datatrove=tmp_path / "absent", recipe=RECIPE))


def test_absent_material_is_refused_in_a_sentence(tmp_path, capsys):
    assert main(["--datatrove", "python", "--material", str(tmp_path)]) == 2
    assert "name the folder of the real material with --material" in capsys.readouterr().err
