"""The benchmark of pairs: its list, its refusals, and, slowly, both sides on a handful of images."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks import pairs


def test_a_list_has_a_caption_for_each_address(tmp_path):
    file = pairs._write_list(tmp_path / "list.parquet", ["http://a", "http://b"])
    rows = pq.read_table(file).to_pylist()
    assert [row["url"] for row in rows] == ["http://a", "http://b"]
    assert len({row["caption"] for row in rows}) == 2


def test_what_cannot_be_measured_is_refused(tmp_path, capsys):
    assert pairs.main(["--material", str(tmp_path)]) == 2
    assert "holds no JPEG of 100 to 400 kB" in capsys.readouterr().err
    assert pairs.main(["--trial_images", "100", "--chunk_pairs", "100"]) == 2
    assert "each core must have more than one chunk to do" in capsys.readouterr().err


@pytest.mark.slow
def test_the_benchmark_ends_with_its_figure(tmp_path):
    """In a process of its own: its cluster makes names resolve in all workers."""
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=90)
    sizes = ["--hosts", "5", "--images", "60", "--trial_images", "40", "--chunk_pairs", "5", "--rounds", "1"]
    command = [sys.executable, "-m", "benchmarks.pairs", "--material", str(tmp_path), *sizes]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads(finished.stdout.splitlines()[-1])
    assert said["benchmark"] == "pairs"
    assert said["targets"]["ratio_to_img2dataset"]["must"] == ">= 1.5"
    assert said["targets"]["ratio_to_img2dataset"]["value"] > 0
