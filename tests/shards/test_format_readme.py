"""The format as shards/README.md states it, held to a shard that is written: its worked example, its tables."""

import base64
import dataclasses
import hashlib
import json
import re
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from shard_pages import page

from shards import schema
from shards.document import Document, Frame, Media, Text, document_key
from shards.foreign.layout import Kind
from shards.index import COLUMNS
from shards.location import locate
from shards.manifest import Commit, Manifest
from shards.remove import Removed, Replacement
from shards.shard import ShardRecord, write_shard

README = (Path(__file__).parents[2] / "shards" / "README.md").read_text()
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")


@pytest.fixture
def tar(tmp_path) -> bytes:
    """The tar of the README's page."""
    image = Media(
        kind="image",
        frames=(Frame(data=PNG, format="png", width=1, height=1),),
        url="https://example.org/p.png",
        alt="A pizza",
    )
    document = Document(
        key=document_key("https://example.org/pizza"),
        source="https://example.org/pizza",
        blocks=(Text(text="Pan pizza"), image, Text(text="Start with the dough.")),
        facts={"title": "Pan pizza"},
        measures={"words": 6.0},
    )
    write_shard(locate(str(tmp_path)), "s", [document])
    return (tmp_path / "s.tar").read_bytes()


def rows(begin: str) -> list[list[str]]:
    """The cells of the table behind the words `begin`."""
    table = README[README.index(begin) :].split("\n|---", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


def test_the_example_lies_as_its_table_says(tar):
    layout = [(int(start), int(size), what) for start, size, what in rows("as `write_shard` leaves it")]
    assert [start for start, *_ in layout] == [sum(size for _, size, _ in layout[:n]) for n in range(len(layout))]
    assert sum(size for _, size, _ in layout) == len(tar)
    pieces = {what: tar[start : start + size] for start, size, what in layout}
    assert pieces["the JSON below"].decode() in README.splitlines()
    assert pieces["the picture"] == PNG
    assert not any(pieces["zeros"] + pieces["the end"])
    for what, piece in pieces.items():
        if what.startswith("header of"):
            assert piece[:100].rstrip(b"\0").decode() == what.removeprefix("header of ").strip("`")
    assert hashlib.sha256(tar).hexdigest() in README


def test_a_header_holds_what_its_table_says_and_zeros(tar):
    left = bytearray(tar[:512])
    for start, size, what in rows("Of a header the fields"):
        begin, end = int(start), int(start) + int(size)
        assert what.rsplit("`", 2)[1].encode() in bytes(left[begin:end])
        left[begin:end] = bytes(end - begin)
    assert not any(left)


def names(cells: list[list[str]]) -> set[str]:
    """What stands in backquotes in these cells."""
    return {name for cell in cells for one in cell for name in re.findall(r"`(\w+)`", one)}


def test_the_tables_name_every_field():
    document = {row[0].strip("`") for row in rows("A field that is not in the table")}
    assert document == schema.DOCUMENT_FIELDS
    block = names([row[1:2] + row[3:] for row in rows("| a block |")]) - {"image", "video", "text"}
    assert block | {"text"} == schema.TEXT_FIELDS | schema.MEDIA_FIELDS | schema.FRAME_FIELDS
    assert names([row[:1] for row in rows("| column | type |")]) == set(COLUMNS)


def test_manifest_and_records_name_every_field():
    fields = {kind: {field.name for field in dataclasses.fields(kind)} for kind in (Manifest, Commit, ShardRecord)}
    manifest = rows("| field of the manifest |")
    assert names([row[:1] for row in manifest]) == fields[Manifest] - {"sha256"}
    (shards,) = (row[2] for row in manifest if row[0] == "`shards`")
    assert names([[shards]]) == fields[ShardRecord]
    told = README[README.index("A commit has") : README.index("**Versions.**")]
    for kind in (Commit, Replacement, Removed):
        assert {field.name for field in dataclasses.fields(kind)} <= names([[told]])


def test_every_kind_of_set_has_its_row():
    assert {row[0].strip("`") for row in rows("| `--kind` |")} == set(Kind.__args__)


def test_the_readmes_commands_run(make_dataset, tmp_path, monkeypatch):
    """In the order of the README; what it adopts is what it exported."""
    make_dataset([page("a", "1")], folder="data/m3w")
    picture = Media(kind="image", frames=(Frame(data=PNG, format="png", width=1, height=1),), url="http://x/p")
    make_dataset([Document(key="p", source="p", blocks=(picture, Text(text="A pair.")))], folder="data/pairs")
    monkeypatch.chdir(tmp_path)
    Path("takedown.txt").write_text("http://x/1")
    Path("cc3m").symlink_to("data/pairs-tars")
    (block,) = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines():
        command = shlex.split(line, comments=True)
        assert command[:2] == ["python", "-m"]
        module = __import__(command[2], fromlist=["main"])
        assert module.main(command[3:]) == 0
    assert json.loads(Path("data/cc3m/manifest.json").read_text())["counts"] == {"documents": 1}
    assert json.loads(Path("data/m3w/manifest.json").read_text())["counts"] == {"documents": 0}
    assert pq.ParquetFile("data/m3w-parquet/000000-0000.parquet").metadata.num_rows == 1
