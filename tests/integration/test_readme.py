"""The commands of README.md, run as they stand there, on small input under the names that they use.

Only what a test must change is changed: the start page is a site on loopback, which the jobs must be told to allow.
"""

import importlib
import io
import re
import shlex
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards.dataset import open_dataset

ROOT = Path(__file__).parents[2]
LOOPBACK = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]


def commands() -> list[list[str]]:
    """Every command in the README's bash blocks, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def write_tar(folder: Path, members: dict[str, bytes]) -> None:
    """A tar of img2dataset in `folder`."""
    folder.mkdir()
    with tarfile.open(folder / "00000.tar", "w") as tar:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))


def run(command: list[str], site_url: str) -> int:
    """Runs `python -m MODULE ARGUMENTS` in this process, as its command line would."""
    assert command[:2] == ["python", "-m"]
    module, argv = command[2], [site_url if word == "https://example.org/" else word for word in command[3:]]
    if module in ("pipeline.pairs", "pipeline.web") and "--warc" not in argv:
        argv += LOOPBACK
    package = (ROOT / module.replace(".", "/")).is_dir()
    return importlib.import_module(f"{module}.__main__" if package else module).main(argv)


def test_make_knows_the_targets_that_the_readme_names():
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [command[1] for command in commands() if command[0] == "make"]
    assert named == ["demo", "test"]
    assert set(named) <= set(targets)


@pytest.mark.usefixtures("ray_cluster")
def test_the_readmes_commands_do_what_it_says(material, site, backbones, tmp_path, monkeypatch, capsys):
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    site.file("/pizza.webp", photograph, "image/webp")
    site.page("/", "<p>A pan pizza, seen from above.</p><img src=pizza.webp><a href=/more.html>more</a>")
    site.page("/more.html", "<p>The same pan pizza, seen once more.</p><img src=pizza.webp>")
    monkeypatch.chdir(tmp_path)
    Path("urls.txt").write_text(f"{site.url}/\n{site.url}/more.html\n")
    shutil.copy(material / "warc" / "warc2zim__kiwix-with-redirects.warc.gz", "crawl-1.warc.gz")
    pq.write_table(pa.table({"url": [f"{site.url}/pizza.webp"], "caption": ["A pan pizza."]}), "pairs.parquet")
    Path("videos").mkdir()
    shutil.copy(material / "videos" / "cockatoo.mp4", "videos/bird.mp4")
    Path("videos/bird.txt").write_text("A bird, seen from the side.")
    Path("picture.jpg").write_bytes(photograph)
    Path("takedown.txt").write_text(f"{site.url}/no-such-page.html\n")
    write_tar(Path("cc3m"), {"000000000.jpg": photograph, "000000000.txt": b"A pan pizza."})
    Path("recipes").symlink_to(ROOT / "recipes")
    backbones(["A handwritten pan pizza, seen from above.", "A bird, seen from the side."])

    for command in commands():
        if command[0] == "python":
            assert run(command, f"{site.url}/") == 0, shlex.join(command)
    documents = {name: open_dataset(f"data/{name}").manifest.documents for name in ("m3w", "site", "archive")}
    assert documents == {"m3w": 2, "site": 2, "archive": 2}
    assert [open_dataset(f"data/{name}").manifest.documents for name in ("pairs", "videos", "cc3m")] == [1, 1, 1]
    assert Path("runs/mine/adapters/adapters.safetensors").exists()
    assert capsys.readouterr().out.strip()
