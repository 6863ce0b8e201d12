"""The benchmark of videos, on a film of four seconds."""

import json
from pathlib import Path

import av
import pytest

from benchmarks import video
from benchmarks.moving_pictures import Film, make_film
from benchmarks.video import VideoBenchmarkConfig, film_figures, ratio_to_best_peer, samplers
from jobs.command import InputError

FILM = Film(name="small.mp4", codec="libx264", width=640, height=360, stretch=60, repeats=2, options={"g": "15"})


def test_a_film_repeats_its_stretch(tmp_path: Path):
    path = make_film(FILM, tmp_path)
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.key_frame) for frame in container.decode(video=0)]
    assert [time for time, _ in frames] == pytest.approx([number / 30 for number in range(120)], abs=1e-3)
    assert [number for number, (_, key) in enumerate(frames) if key] == list(range(0, 120, 15))
    assert [file.name for file in tmp_path.iterdir()] == ["small.mp4"]
    made = path.stat().st_mtime_ns
    assert make_film(FILM, tmp_path).stat().st_mtime_ns == made


def test_every_side_samples_the_film(tmp_path: Path):
    path = make_film(FILM, tmp_path)
    assert {name: sampler(path) for name, sampler in samplers("no-such-program").items()} == dict.fromkeys(
        ("ours, alone", "decord", "decord, resizing", "PyAV", "PyAV, one thread"), 4
    )
    figures = film_figures(FILM, path, VideoBenchmarkConfig(rounds=1, ffmpeg="no-such-program"))
    assert figures["ours"] > figures["ours, alone"] > 0


def test_the_benchmark_ends_with_a_line_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(video, "FILMS", (FILM,))
    config = VideoBenchmarkConfig(output=tmp_path, rounds=1, ffmpeg="no-such-program")
    video.run(config)
    lines = capsys.readouterr().out.splitlines()
    said = json.loads(lines[-1])
    target = said["targets"]["ratio_to_best_peer_min"]
    assert (said["benchmark"], target["must"]) == ("video", ">= 1.0")
    assert float(lines[-2].split()[-1]) == pytest.approx(target["value"], abs=0.006)


def test_the_ratio_is_to_the_fastest_peer():
    assert ratio_to_best_peer({"ours": 30.0, "ours, alone": 25.0, "decord": 20.0, "PyAV": 15.0}) == 1.5


def test_a_side_that_samples_something_else_is_refused(tmp_path: Path):
    longer = Film(name="small.mp4", codec="libx264", width=640, height=360, stretch=600)
    make_film(FILM, tmp_path)
    with pytest.raises(InputError, match=r"gives 4 frames of \S+small.mp4, which lasts 20.0 s"):
        film_figures(longer, tmp_path / "small.mp4", VideoBenchmarkConfig(rounds=1, ffmpeg="no-such-program"))


def test_rounds_are_checked():
    with pytest.raises(ValueError, match="rounds is 0; it must be 1 or greater"):
        VideoBenchmarkConfig(rounds=0)
