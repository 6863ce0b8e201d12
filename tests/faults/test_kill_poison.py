"""A page and a picture that kill whatever process reads them: they are counted, and nothing else is lost."""

from pathlib import Path

from jobs_to_kill import ROOT, command, documents, finish, start

from shards.dataset import open_dataset

POISON = "POISON-5f1c"
HOOK = f"""
import os, signal
from PIL import Image
import pipeline.encodings

opened, decoded = Image.open, pipeline.encodings.decode

def die_of(data):
    if {POISON.encode()!r} in data:
        os.kill(os.getpid(), signal.SIGKILL)

def open_or_die(file, *args, **options):
    die_of(file.getvalue())
    return opened(file, *args, **options)

def decode_or_die(html, *args):
    die_of(html)
    return decoded(html, *args)

Image.open, pipeline.encodings.decode = open_or_die, decode_or_die
"""
"""Runs as every Python process starts: bytes with the word in them kill it, as a bug in native code would."""


def test_what_kills_its_reader_is_quarantined(site, material, tmp_path):
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    site.file("/good.webp", photograph, "image/webp")
    site.file("/bad.webp", photograph + POISON.encode(), "image/webp")
    for n in range(8):
        images = "<img src=good.webp>" + "<img src=bad.webp>" * (n == 4)
        site.page(f"/{n}.html", f"<p>Page number {n} speaks of pictures.</p>{images}<!-- {POISON * (n == 1)} -->")
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"{site.url}/{n}.html\n" for n in range(8)))
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(HOOK)
    finish(start(command(urls, tmp_path / "out"), PYTHONPATH=f"{tmp_path / 'hooks'}:{ROOT}"))

    assert open_dataset(str(tmp_path / "out")).manifest.drops == {"page_crashed": 1, "image_crashed": 1}
    found = documents(tmp_path / "out")
    assert [Path(document.source).stem for document in found] == ["0", "2", "3", "4", "5", "6", "7"]
    assert all(len(document.media) == 1 for document in found)
    assert not (tmp_path / "out" / "attempts").exists()
