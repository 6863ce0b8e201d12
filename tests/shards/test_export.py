"""A dataset as other tools have it: OBELICS's columns, and the shards of img2dataset."""

import json
import os
import subprocess
import sys
import tarfile
from contextlib import ExitStack

import pyarrow.parquet as pq
from shard_pages import page
from webdataset.tariterators import group_by_keys, tar_file_expander

from pipeline.inputs.obelics import page_of_row
from pipeline.page import TextBlock
from shards import export
from shards.document import Document, Frame, Media, Text, document_key


def pair(name: str, *captions: str) -> Document:
    frame = Frame(data=name.encode(), format="png", width=5, height=7)
    image = Media(kind="image", frames=(frame,), url=f"http://x/{name}")
    return Document(key=document_key(name), source=image.url, blocks=(image, *(Text(text=text) for text in captions)))


def video(name: str) -> Document:
    frames = tuple(Frame(data=b"f%d" % n, format="jpg", width=4, height=3, seconds=float(n)) for n in range(2))
    return Document(
        key=document_key(name), source=name, blocks=(Media(kind="video", frames=frames), Text(text="Film."))
    )


def run(tmp_path, kind: str, *more: str) -> int:
    return export.main([str(tmp_path / "set"), "--format", kind, "--output", str(tmp_path / "out"), *more])


def test_a_page_has_the_columns_of_obelics(make_dataset, tmp_path, capsys):
    make_dataset([page("a", "1", "2"), video("v")], [page("b", "3")])
    assert run(tmp_path, "parquet") == 0
    assert capsys.readouterr().out == f"2 documents written to {tmp_path / 'out'}\n1 left out: video\n"
    table = pq.read_table(tmp_path / "out" / "000000-0000.parquet")
    assert table.column_names == ["images", "metadata", "general_metadata", "texts"]
    (row,) = table.to_pylist()
    assert row["images"] == [None, "http://x/1", None, "http://x/2", None]
    assert row["texts"] == ["Before 1.", None, "Before 2.", None, "End of a."]
    assert json.loads(row["general_metadata"]) == {"url": "http://x/a"}
    address, read = page_of_row(row)  # as pipeline.interleaved reads OBELICS itself
    assert address == "http://x/a"
    shape = [block.text if isinstance(block, TextBlock) else block.url for block in read.blocks]
    assert shape == ["Before 1.", "http://x/1", "Before 2.", "http://x/2", "End of a."]
    metadata = json.loads(row["metadata"])
    assert [one and one["src"] for one in metadata] == row["images"]
    assert (metadata[1]["original_width"], metadata[1]["format"]) == (4, "jpg")


def test_pictures_come_beside_their_addresses_if_asked_for(make_dataset, tmp_path):
    make_dataset([page("a", "1", "2")])
    assert run(tmp_path, "parquet", "--pictures") == 0
    (row,) = pq.read_table(tmp_path / "out" / "000000-0000.parquet").to_pylist()
    assert row["image_bytes"] == [None, b"1", None, b"2", None]


LOAD = """
import sys, datasets
for pattern in sys.argv[2:]:
    rows = datasets.load_dataset("parquet", data_files=pattern, split="train", cache_dir=sys.argv[1])
    print(rows[1].get("source") or rows[1]["images"])
"""


def test_hugging_face_reads_index_and_export(make_dataset, tmp_path):
    make_dataset([page("a", "1"), page("b", "2")])
    assert run(tmp_path, "parquet") == 0
    patterns = [str(tmp_path / folder / "*.parquet") for folder in ("set", "out")]
    # A process of its own, which asks nobody for anything, and leaves nothing in the home folder.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", LOAD, str(tmp_path / "cache"), *patterns]
    read = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert read.stdout.splitlines() == ["http://x/b", "[None, 'http://x/2', None]"]


def test_pairs_are_shards_of_img2dataset(make_dataset, tmp_path, capsys):
    make_dataset([pair("p", "One.", "Two."), page("a", "1", "2"), pair("q", "Ünicode.")], [pair("r", "Three.")])
    assert run(tmp_path, "img2dataset") == 0
    assert "3 documents written" in (printed := capsys.readouterr().out)
    assert "1 left out: not_a_pair" in printed
    with tarfile.open(tmp_path / "out" / "00000.tar") as tar:
        assert tar.getnames() == [f"00000000{n}.{suffix}" for n in range(2) for suffix in ("png", "txt", "json")]
    with ExitStack() as stack:
        paths = [tmp_path / "out" / f"0000{n}.tar" for n in range(2)]
        streams = [{"url": str(path), "stream": stack.enter_context(path.open("rb"))} for path in paths]
        samples = list(group_by_keys(tar_file_expander(streams)))
    assert [sample["txt"].decode() for sample in samples] == ["One. Two.", "Ünicode.", "Three."]
    assert [sample["png"] for sample in samples] == [b"p", b"q", b"r"]
    said = json.loads(samples[0]["json"])
    assert (said["url"], said["key"], said["width"], said["status"]) == ("http://x/p", "000000000", 5, "success")
    rows = pq.read_table(tmp_path / "out" / "00000.parquet").to_pylist()
    assert rows[1]["caption"] == "Ünicode."
    assert json.loads((tmp_path / "out" / "00001_stats.json").read_text())["successes"] == 1


def test_an_export_leaves_other_files_alone(make_dataset, tmp_path, capsys):
    make_dataset([page("a", "1")])
    assert run(tmp_path, "parquet") == 0
    assert run(tmp_path, "img2dataset") == 2
    assert "is a folder with files in it; give a new folder" in capsys.readouterr().err
