"""Sets of interleaved pages into documents, with their images from the set or from a site on loopback."""

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import interleaved
from shards.dataset import open_dataset
from shards.document import Document, Text

LOOPBACK = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
pytestmark = pytest.mark.usefixtures("ray_cluster")


def picture(colour: str) -> bytes:
    image = Image.linear_gradient("L").convert("RGB")
    image.paste(colour, (0, 0, 128, 256))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def shape(document: Document) -> list[str]:
    return [block.text if isinstance(block, Text) else block.url.rpartition("/")[2] for block in document.blocks]


def write_obelics(path: Path, site: str, count: int) -> None:
    rows = [obelics_row(f"{site}/page/{number}", [f"{site}/a.png", f"{site}/gone.png"]) for number in range(count)]
    rows[1]["metadata"] = "no JSON"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


def obelics_row(page: str, images: list[str]) -> dict[str, Any]:
    texts = ["Five words stand before it.", *[None] * len(images), f"The end of {page}."]
    return {
        "images": [None, *images, None],
        "metadata": json.dumps([None, *({"src": image, "alt_text": "An image"} for image in images), None]),
        "general_metadata": json.dumps({"url": page}),
        "texts": texts,
    }


def mmc4_line(page: str, *images: dict[str, Any]) -> str:
    return json.dumps({"url": page, "text_list": ["First one.", "Second one.", "Third one."], "image_info": images})


def test_obelics_arrives_with_its_images_and_every_loss_is_counted(site, tmp_path, capsys):
    site.file("/a.png", picture("red"))
    write_obelics(tmp_path / "train-0.parquet", site.url, 5)
    argv = ["--kind", "obelics", "--input", str(tmp_path / "*.parquet"), "--output", str(tmp_path / "out")]
    assert interleaved.main([*argv, "--chunk_pages", "2", *LOOPBACK]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    documents = sorted(dataset.documents(), key=lambda document: document.source)
    assert [document.source for document in documents] == [f"{site.url}/page/{number}" for number in (0, 2, 3, 4)]
    assert shape(documents[0]) == ["Five words stand before it.", "a.png", f"The end of {site.url}/page/0."]
    assert documents[0].media[0].alt == "An image"
    assert dataset.manifest.counts["pages"] == 5
    assert dataset.manifest.drops == {"image_http_404": 4, "page_malformed": 1}
    assert site.requests.count("/a.png") == 1
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert interleaved.main([*argv, "--chunk_pages", "2", *LOOPBACK]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_what_failed_for_a_time_is_asked_for_again_and_bad_records_keep_their_places(site, tmp_path):
    site.file("/a.png", picture("red"))
    site.answers["/gone.png"] = (503, {}, b"")
    write_obelics(tmp_path / "train-0.parquet", site.url, 4)
    argv = ["--kind", "obelics", "--input", str(tmp_path / "train-0.parquet"), "--output", str(tmp_path / "out")]
    argv += [*LOOPBACK, "--fetch.retries", "0"]
    assert interleaved.main(argv) == 0
    assert open_dataset(str(tmp_path / "out")).manifest.drops == {"image_http_503": 3, "page_malformed": 1}
    site.file("/gone.png", picture("blue"))
    assert interleaved.main([*argv, "--retry_failed", "true"]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    assert dataset.manifest.drops == {"page_malformed": 1}
    shapes = {document.source: shape(document)[1:3] for document in dataset.documents()}
    assert shapes == {f"{site.url}/page/{number}": ["a.png", "gone.png"] for number in (0, 2, 3)}


def test_mmc4_arrives_in_the_order_of_its_sentences(site, tmp_path):
    site.file("/a.png", picture("red"))
    site.file("/b.png", picture("blue"))
    places = [{"raw_url": f"{site.url}/a.png", "matched_text_index": 2}]
    places += [{"raw_url": f"{site.url}/b.png", "matched_text_index": 0}]
    (tmp_path / "docs_shard_0.jsonl").write_text(mmc4_line(f"{site.url}/page", *places) + "\n")
    argv = ["--kind", "mmc4", "--input", str(tmp_path), "--output", str(tmp_path / "out"), *LOOPBACK]
    assert interleaved.main(argv) == 0
    (document,) = open_dataset(str(tmp_path / "out")).documents()
    assert shape(document) == ["b.png", "First one. Second one.", "a.png", "Third one."]


def test_image_shards_of_mmc4_need_no_network(site, tmp_path):
    held = {"raw_url": f"{site.url}/a.png", "matched_text_index": 1}
    held["image_base64"] = str(base64.b64encode(picture("red")))
    absent = {"raw_url": f"{site.url}/b.png", "matched_text_index": 2}
    line = mmc4_line(f"{site.url}/page", held, absent).encode()
    with tarfile.open(tmp_path / "000000000.tar", "w") as archive:
        member = tarfile.TarInfo("ab.json")
        member.size = len(line)
        archive.addfile(member, io.BytesIO(line))
    argv = ["--kind", "mmc4", "--input", str(tmp_path / "000000000.tar"), "--output", str(tmp_path / "out")]
    assert interleaved.main([*argv, "--images", "archive", *LOOPBACK]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    (document,) = dataset.documents()
    assert shape(document) == ["First one.", "a.png", "Second one.\n\nThird one."]
    assert dataset.manifest.drops == {"image_not_in_archive": 1}
    assert site.requests == []


def test_those_who_opted_out_are_left_out_of_sets_that_hold_them(site, tmp_path):
    held = {"matched_text_index": 1, "image_base64": base64.b64encode(picture("red")).decode()}
    images = [held | {"raw_url": url} for url in ("http://willing.example/a.png", "http://cdn.shy.example/b.png")]
    pages = ["http://willing.example/", "http://www.shy.example/", "http://willing.example/private"]
    (tmp_path / "0.jsonl").write_text("".join(f"{mmc4_line(page, *images)}\n" for page in pages))
    (tmp_path / "opt_out.txt").write_text("shy.example\nhttp://willing.example/private\n")
    argv = ["--kind", "mmc4", "--input", str(tmp_path / "0.jsonl"), "--output", str(tmp_path / "out"), *LOOPBACK]
    assert interleaved.main([*argv, "--images", "archive", "--opt_out", str(tmp_path / "opt_out.txt")]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    (document,) = dataset.documents()
    assert [media.url for media in document.media] == ["http://willing.example/a.png"]
    assert dataset.manifest.drops == {"page_opted_out": 2, "image_opted_out": 1}


def test_a_limit_reads_the_first_pages_and_the_whole_goes_on_from_there(site, tmp_path, capsys):
    site.file("/a.png", picture("red"))
    write_obelics(tmp_path / "train-0.parquet", site.url, 6)
    argv = ["--kind", "obelics", "--input", str(tmp_path / "train-0.parquet"), "--output", str(tmp_path / "out")]
    assert interleaved.main([*argv, "--chunk_pages", "3", "--limit", "3", *LOOPBACK]) == 0
    assert "The whole, 6 pages, would take about" in capsys.readouterr().out
    assert open_dataset(str(tmp_path / "out")).manifest.counts["pages"] == 3
    assert interleaved.main([*argv, "--chunk_pages", "3", *LOOPBACK]) == 0
    assert open_dataset(str(tmp_path / "out")).manifest.counts["pages"] == 6


def test_wrong_input_is_refused_in_one_sentence(tmp_path, capsys):
    argv = ["--kind", "obelics", "--output", str(tmp_path / "out")]
    assert interleaved.main([*argv, "--input", str(tmp_path / "nothing.parquet")]) == 2
    assert "names no file; files of obelics end in .parquet" in capsys.readouterr().err
    pq.write_table(pa.table({"url": ["a"]}), tmp_path / "list.parquet")
    assert interleaved.main([*argv, "--input", str(tmp_path / "list.parquet")]) == 2
    assert "list.parquet has no column 'texts'" in capsys.readouterr().err
    assert interleaved.main([*argv, "--input", "x", "--chunk_pages", "0"]) == 2
    assert "chunk_pages is 0; it must be 1 or greater" in capsys.readouterr().err
