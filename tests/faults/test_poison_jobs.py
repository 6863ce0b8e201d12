"""A page and a picture that crash what reads them, in a whole job: quarantined after two tries, and the job goes on."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from shards.dataset import open_dataset

ROOT = Path(__file__).parents[2]
DEADLINE = 240
"""Seconds in which a job ends, or hangs."""
CRASHING_LIBRARIES = """
import ctypes
import lxml.etree
import PIL.Image

def crashing(function):
    def call(data, *arguments, **options):
        read = data.getvalue() if hasattr(data, "getvalue") else data
        if isinstance(read, bytes) and b"POISON" in read:
            ctypes.string_at(0)
        return function(data, *arguments, **options)
    return call

PIL.Image.open = crashing(PIL.Image.open)
lxml.etree.fromstring = crashing(lxml.etree.fromstring)
"""
"""Run by Python at its start in the job and all its processes: stands for native code with a fault."""
PAGES = 9


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "faulty").mkdir()
    (tmp_path / "faulty" / "sitecustomize.py").write_text(CRASHING_LIBRARIES)
    return os.environ | {"PYTHONPATH": f"{tmp_path / 'faulty'}{os.pathsep}{ROOT}"}


def run_job(argv: list[str], environment: dict[str, str]) -> None:
    job = subprocess.run(
        [sys.executable, *argv], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=DEADLINE
    )
    assert job.returncode == 0, job.stdout + job.stderr


def test_the_libraries_do_crash(environment):
    for program in (
        "import PIL.Image, io; PIL.Image.open(io.BytesIO(b'POISON'))",
        "import lxml.etree as e; e.fromstring(b'<POISON/>')",
    ):
        assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=60).returncode < 0


def test_poison_pages_and_pictures_cost_themselves_alone(site, environment, tmp_path):
    site.file("/good.png", picture())
    site.file("/bad.png", picture() + b"POISON")
    for number in range(PAGES):
        poison = "POISON" if number == 4 else ""
        other = "<img src=bad.png>" if number == 7 else ""
        site.page(f"/{number}.html", f"<p>Page {number} speaks of pictures. {poison}</p><img src=good.png>{other}")
    (tmp_path / "urls.txt").write_text("".join(f"{site.url}/{number}.html\n" for number in range(PAGES)))
    argv = ["-m", "pipeline.web", "--urls", str(tmp_path / "urls.txt"), "--output", str(tmp_path / "out")]
    argv += ["--chunk_pages", "3", "--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
    run_job(argv, environment)
    dataset = open_dataset(str(tmp_path / "out"))
    assert dataset.manifest.drops == {"page_crashed": 1, "image_crashed": 1}
    sources = sorted(document.source for document in dataset.documents())
    assert sources == [f"{site.url}/{number}.html" for number in range(PAGES) if number != 4]
    assert all(len(document.media) == 1 for document in dataset.documents())
    assert max(site.requests.count(f"/{number}.html") for number in range(PAGES)) == 1
