"""The efficiency benchmark at a small size: it runs to its end, and both sides do the same work."""

import json

import pytest

from benchmarks import pipeline_efficiency
from jobs.command import REFUSED


@pytest.mark.slow
def test_a_small_run_gives_all_figures(material, tmp_path, capsys):
    argv = ["--material", str(material), "--output", str(tmp_path / "out"), "--images_per_page", "1"]
    assert pipeline_efficiency.main([*argv, "--pages", "450", "--rounds", "1"]) == 0
    *_, line, last = capsys.readouterr().out.splitlines()
    targets = json.loads(last)["targets"]
    assert targets["pipeline_efficiency"]["value"] > 0
    assert targets["memory_growth"]["value"] > 0
    assert line.startswith("round 0: pipeline.web ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pages.warc"]
    assert pipeline_efficiency.main([*argv, "--pages", "450"]) == REFUSED
    assert "is not empty; give a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--pages", "--images_per_page", "--rounds"])
def test_nothing_is_measured_of_nothing(flag, capsys):
    assert pipeline_efficiency.main([flag, "0"]) == REFUSED
    assert "is 0; it must be 1 or greater" in capsys.readouterr().err
