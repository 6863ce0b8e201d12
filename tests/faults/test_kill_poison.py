"""A page and a picture that kill whatever process reads them: they are counted, and nothing else is lost."""

import sys
from pathlib import Path

import pytest
from jobs_to_kill import ROOT, command, documents, finish, start

from shards.dataset import open_dataset

pytestmark = pytest.mark.slow  # test_kill_processes.py kills a worker and a driver in every run
POISON = "POISON-5f1c"
HOOK = f"""
import os, signal
from PIL import Image
import pipeline.extraction.encodings

opened, decoded = Image.open, pipeline.extraction.encodings.decode

def die_of(data):
    if {POISON.encode()!r} in data:
        os.kill(os.getpid(), signal.SIGKILL)

def open_or_die(file, *args, **options):
    die_of(file.getvalue())
    return opened(file, *args, **options)

def decode_or_die(html, *args):
    die_of(html)
    return decoded(html, *args)

Image.open, pipeline.extraction.encodings.decode = open_or_die, decode_or_die
"""
"""Runs as every Python process starts: bytes with the word in them kill it, as a bug in native code would."""


@pytest.fixture
def poisoned(tmp_path) -> dict[str, str]:
    """The environment of a job whose readers die of poison."""
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(HOOK)
    return {"PYTHONPATH": f"{tmp_path / 'hooks'}:{ROOT}"}


def test_what_kills_its_reader_is_quarantined(site, material, poisoned, tmp_path):
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    site.file("/good.webp", photograph, "image/webp")
    site.file("/bad.webp", photograph + POISON.encode(), "image/webp")
    for n in range(8):
        images = "<img src=good.webp>" + "<img src=bad.webp>" * (n == 4)
        site.page(f"/{n}.html", f"<p>Page number {n} speaks of pictures.</p>{images}<!-- {POISON * (n == 1)} -->")
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"{site.url}/{n}.html\n" for n in range(8)))
    finish(start(command(urls, tmp_path / "out"), **poisoned))

    assert open_dataset(str(tmp_path / "out")).manifest.drops == {"page_crashed": 1, "image_crashed": 1}
    found = documents(tmp_path / "out")
    assert [Path(document.source).stem for document in found] == ["0", "2", "3", "4", "5", "6", "7"]
    assert all(len(document.media) == 1 for document in found)
    assert not (tmp_path / "out" / "attempts").exists()


def test_a_pair_that_kills_its_reader_is_quarantined(site, material, poisoned, tmp_path):
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    for n in range(6):
        site.file(f"/{n}.webp", photograph + POISON.encode() * (n == 2), "image/webp")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("url,caption\n" + "".join(f"{site.url}/{n}.webp,Picture {n}.\n" for n in range(6)))
    loopback = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
    argv = ["--input", str(pairs), "--output", str(tmp_path / "out"), "--chunk_pairs", "3", *loopback]
    finish(start([sys.executable, "-m", "pipeline.pairs", *argv], **poisoned))
    assert open_dataset(str(tmp_path / "out")).manifest.drops == {"image_crashed": 1}
    assert [Path(document.source).stem for document in documents(tmp_path / "out")] == ["0", "1", "3", "4", "5"]
