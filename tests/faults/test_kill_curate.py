"""Curation whose driver or worker is killed, in any of its steps, ends as an undisturbed one."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from jobs_to_kill import commits, files, finish, kill_worker, start, wait_until

from shards.chunk import write_chunk
from shards.document import Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, write_manifest

pytestmark = pytest.mark.slow  # test_kill_processes.py kills a worker and a driver in every run
SHARDS = 12


def image(seed: int) -> Media:
    pixels = np.random.default_rng(seed).integers(0, 256, (400, 400, 3), np.uint8)
    frame = Frame(data=simplejpeg.encode_jpeg(pixels), format="jpg", width=400, height=400)
    return Media(kind="image", frames=(frame,), url=f"https://x.org/{seed}.jpg")


def page(number: int) -> Document:
    words = " ".join(f"word{(number // 2 * 97 + n * n) % 500}" for n in range(60))
    source = f"https://x.org/{number}"
    return Document(
        key=document_key(source), source=source, blocks=(Text(text=f"{words}\n\nAll rights reserved"), image(number))
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Shards of three pages, of which every second is a copy of the one before."""
    folder = locate(str(tmp_path_factory.mktemp("gathered")))
    pages = [page(number) for number in range(3 * SHARDS)]
    runs = [pages[start : start + 3] for start in range(0, len(pages), 3)]
    made = [write_chunk(folder, f"{n:06d}", lambda _, run=run: run) for n, run in enumerate(runs)]
    write_manifest(folder, merge("pipeline.web", {}, made))
    return Path(folder.path)


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("curated") / "out"
    finish(start(command(dataset, output)))
    return files(output)


def command(dataset: Path, output: Path) -> list[str]:
    rules = ["--config", "recipes/curate/copies.yaml"]
    return [sys.executable, "-m", "pipeline.curate", *rules, "--input", str(dataset), "--output", str(output)]


def judged(output: Path) -> int:
    return len(list(output.glob("work/judged/*.parquet")))


STEPS: dict[str, Callable[[Path], bool]] = {
    "judging": lambda output: judged(output) >= SHARDS // 4,
    "comparing": lambda output: any(output.glob("work/verdicts/duplicates/*.parquet")),
    "writing": lambda output: len(commits(output)) >= SHARDS // 4,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_driver_is_run_again_and_ends_with_the_same_bytes(step, dataset, undisturbed, tmp_path):
    output = tmp_path / "out"
    job = start(command(dataset, output))
    wait_until(lambda: STEPS[step](output))
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert not (output / "manifest.json").exists()
    finish(start(command(dataset, output)))
    assert files(output) == undisturbed


def test_a_killed_worker_is_replaced(dataset, undisturbed, tmp_path):
    output = tmp_path / "out"
    job = start(command(dataset, output))
    wait_until(lambda: judged(output) >= 1)
    kill_worker(job, "ray::Map(judge)")
    finish(job)
    assert files(output) == undisturbed
    assert not (output / "work").exists()
