"""`pipeline.web --videos` whole, from a site and again from the archive that it wrote of it."""

from pathlib import Path

import pytest

from pipeline import web
from shards.dataset import open_dataset
from shards.document import Document, Text


def shape(document: Document) -> list[str]:
    return [
        block.text if isinstance(block, Text) else f"{block.url.rpartition('/')[2]} {len(block.frames)}"
        for block in document.blocks
    ]


@pytest.mark.usefixtures("ray_cluster")
def test_videos_of_pages_become_blocks_of_their_documents(site, material, tmp_path):
    site.file("/frog.webm", (material / "videos" / "frog.webm").read_bytes(), "video/webm")
    site.file("/pizza.webp", (material / "sites/based-cooking/pix/pan-pizza.webp").read_bytes(), "image/webp")
    media = "<img src=pizza.webp><p>Then a frog, as a film.</p><video src=frog.webm></video>"
    site.page("/", f"<p>First a pizza, as a picture.</p>{media}<p>That was all there is.</p>")
    argv = ["--start", f"{site.url}/", "--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
    argv += ["--videos", "--video.most_seconds", "3"]
    assert web.main([*argv, "--output", str(tmp_path / "out"), "--write-warc"]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    (document,) = dataset.documents()
    wanted = ["pizza.webp 1", "Then a frog, as a film.", "frog.webm 3", "That was all there is."]
    assert shape(document)[1:] == wanted
    assert [media.kind for media in document.media] == ["image", "video"]
    assert dataset.manifest.counts["videos"] == 1

    (archive,) = Path(tmp_path / "out" / "warc").glob("*.warc.gz")
    argv = ["--warc", str(archive), "--videos", "--video.most_seconds", "3", "--output", str(tmp_path / "again")]
    assert web.main(argv) == 0
    (again,) = open_dataset(str(tmp_path / "again")).documents()
    assert again.blocks == document.blocks
