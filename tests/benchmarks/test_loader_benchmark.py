"""The benchmark of the loader: its refusals, its sides on a handful of pages, and a start over a few links."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import illustrated_pages, loader, loader_peer, loader_start
from training.data.mixture import Part, load_updates
from training.data.pictures import Canvas
from training.data.stream import open_stream

WORDS = [f"word{number % 97}" for number in range(400)]
CANVAS = Canvas(size=64, mean=loader.MEAN)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """Eight pages in two shards."""
    folder = tmp_path_factory.mktemp("material")
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((640, 480)).save(folder / "noise.jpg", quality=90)
    frames = illustrated_pages.find_photographs(folder, 128)
    assert [(frame.width, frame.height) for frame in frames] == [(171, 128)]
    illustrated_pages.write_pages(folder / "pages", frames, WORDS, pages=8, shards=2)
    return folder / "pages"


def test_what_cannot_be_measured_is_refused(tmp_path, capsys):
    assert loader.main(["--material", str(tmp_path)]) == 2
    assert "holds no photographs" in capsys.readouterr().err
    assert loader.main(["--pages", "4", "--shards", "8"]) == 2
    assert "pages is 4; it must be at least shards, 8" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::DeprecationWarning:webdataset")
def test_both_sides_give_the_same_windows(pages: Path):
    vocabulary = illustrated_pages.train_vocabulary(WORDS)
    config = loader.LoaderBenchmarkConfig(batch=8, workers=1, size=64)
    training = loader.training_config(config, str(pages))
    with load_updates(training, vocabulary, CANVAS, given={"pages": 0}, part=Part(rank=0, world=1)) as updates:
        ours = next(updates)["pages"]
    maker = open_stream(training, "pages", vocabulary, CANVAS).maker
    (theirs,) = islice(loader_peer.webdataset_batches(sorted(map(str, pages.glob("*.tar"))), maker, 8, 1), 1)

    rows = {tuple(row.tolist()): number for number, row in enumerate(theirs.input_ids)}
    assert len(rows) == 8
    for number, row in enumerate(ours.batch.input_ids):
        other = rows[tuple(row.tolist())]
        assert ours.batch.media_index[number].unique().numel() == theirs.media_index[other].unique().numel() > 2
        mine = ours.batch.pixels[int(ours.batch.media_index[number].max())].float()
        difference = (mine - theirs.pixels[int(theirs.media_index[other].max())]).abs().mean()
        assert difference < 2


def test_a_start_over_many_links(pages: Path, tmp_path: Path):
    loader_start.simulate_shards(tmp_path / "many", str(pages), 70)
    command = [sys.executable, "-m", "benchmarks.loader_start", str(tmp_path / "many"), "64", "2"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert said["first_batch_seconds"] > 0
    assert said["peak_memory_mb"] > 50
