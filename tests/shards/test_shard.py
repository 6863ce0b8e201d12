"""Shards as they lie on disk: read by other tools, the same bytes for the same documents, and damage named."""

import copy
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webdataset.tariterators import group_by_keys, tar_file_expander

from shards.chunk import write_chunk
from shards.dataset import Dataset, open_dataset
from shards.document import Document, Frame, Media, Text, document_key
from shards.errors import DatasetError, ShardError
from shards.location import locate
from shards.manifest import Commit, merge, read_commits, write_manifest
from shards.schema import decode_document, encode_document, member_names
from shards.shard import read_document, read_shard, write_shard


def frame(data: bytes = b"jpeg", **fields: object) -> Frame:
    return Frame(**{"data": data, "format": "jpg", "width": 4, "height": 3, **fields})  # pyright: ignore


def document(name: str = "a", frames: int = 1) -> Document:
    video = Media(kind="video", frames=tuple(frame(b"f%d" % n, seconds=float(n)) for n in range(frames)), url="v")
    image = Media(kind="image", frames=(frame(b"png!", format="png"),), url="http://x/i.png", alt="an alt")
    return Document(
        key=document_key(name),
        source=f"http://x/{name}",
        blocks=(Text(text="One two."), image, Text(text="Three.", caption=True), video),
        facts={"title": "T"},
        measures={"words": 3.0},
    )


def dataset_of(folder: Path, *documents: Document, **sizes: Any) -> Dataset:
    location = locate(str(folder))
    write_chunk(location, "000000", lambda tally: documents, **sizes)
    write_manifest(location, merge("test", {}, read_commits(location)))
    return open_dataset(str(folder))


def test_a_document_survives_the_way_to_disk_and_back(tmp_path):
    written = [document("a"), document("b", frames=3)]
    dataset = dataset_of(tmp_path, *written)
    assert list(dataset.documents()) == written
    rows = dataset.index().to_pylist()
    assert [dataset.read(row["shard"], row["offset"], row["size"]) for row in rows] == written
    assert [(row["texts"], row["images"], row["videos"], row["frames"], row["words"]) for row in rows] == [
        (2, 1, 1, 2, 3),
        (2, 1, 1, 4, 3),
    ]
    assert dict(rows[0]["facts"]) == {"title": "T"}
    assert dict(rows[0]["measures"]) == {"words": 3.0}


def test_webdataset_and_tar_read_a_shard(tmp_path):
    dataset_of(tmp_path, document("a", frames=2))
    shard = str(tmp_path / "000000-0000.tar")
    key = document_key("a")
    with tarfile.open(shard) as tar:
        assert tar.getnames() == [f"{key}.json", f"{key}.0.png", f"{key}.1.jpg", f"{key}.2.jpg"]
        assert {member.mtime for member in tar} == {0}
    with open(shard, "rb") as file:
        (sample,) = group_by_keys(tar_file_expander([{"url": shard, "stream": file}]))
    assert sample["__key__"] == key
    assert sample["0.png"] == b"png!"
    assert json.loads(sample["json"])["source"] == "http://x/a"


def test_the_same_documents_give_the_same_bytes(tmp_path):
    hashes = set()
    for name in ("one", "two"):
        record = write_shard(locate(str(tmp_path / name)), "s", [document("a"), document("b")])
        data = (tmp_path / name / "s.tar").read_bytes()
        assert record.sha256 == hashlib.sha256(data).hexdigest()
        hashes.add((record.sha256, record.index_sha256))
    assert len(hashes) == 1


def test_shards_are_closed_at_their_size_and_lose_nothing(tmp_path):
    written = [document(str(n)) for n in range(7)]
    # A document takes 3,584 bytes: its JSON, of 513 to 1,024 bytes, and two frames of a block, each with a header.
    for number, sizes in enumerate(({"shard_bytes": 3585}, {"shard_bytes": 7168}, {"shard_documents": 2})):
        dataset = dataset_of(tmp_path / str(number), *written, **sizes)
        assert [shard.documents for shard in dataset.manifest.shards] == [2, 2, 2, 1]
        assert list(dataset.documents()) == written


@given(
    st.lists(st.lists(st.integers(0, 2000), max_size=3), max_size=8),
    st.integers(1, 20_000),
    st.none() | st.integers(1, 3),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_sizes_nothing_is_lost_and_every_place_is_right(tmp_path, sizes, shard_bytes, shard_documents):
    """`sizes` are bytes of the frames of each document; a shard is closed by the document that fills it."""
    written = [
        Document(
            key=document_key(str(n)),
            source=str(n),
            blocks=tuple(Media(kind="image", frames=(frame(bytes(size)),)) for size in frames),
        )
        for n, frames in enumerate(sizes)
    ]
    with TemporaryDirectory(dir=tmp_path) as folder:
        dataset = dataset_of(Path(folder), *written, shard_bytes=shard_bytes, shard_documents=shard_documents)
        assert list(dataset.documents()) == written
        rows = dataset.index().to_pylist()
        assert [dataset.read(row["shard"], row["offset"], row["size"]) for row in rows] == written
        for shard in dataset.manifest.shards:
            offsets = [row["offset"] for row in rows if row["shard"] == shard.name]
            assert offsets[-1] < shard_bytes  # what stands before the last document does not fill the shard
            assert shard_documents is None or len(offsets) <= shard_documents


def test_a_repeated_document_is_dropped_and_counted(tmp_path):
    dataset = dataset_of(tmp_path, document("a"), document("a"), document("b"))
    assert dataset.manifest.drops == {"repeated_document": 1}
    assert dataset.manifest.counts == {"documents": 2}


def test_write_shard_refuses_two_documents_with_one_key(tmp_path):
    with pytest.raises(DatasetError, match="two documents have key"):
        write_shard(locate(str(tmp_path)), "s", [document("a"), document("a")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["../x", "a.b", "a/b", "", "ü"])
def test_an_unsafe_key_is_refused(tmp_path, key):
    bad = Document(key=key, source="s", blocks=())
    with pytest.raises(DatasetError, match="letters and digits"):
        write_shard(locate(str(tmp_path)), "s", [bad])


def test_a_cut_shard_is_named(tmp_path):
    dataset = dataset_of(tmp_path, document("a"), document("b"))
    tar = tmp_path / "000000-0000.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-1500])
    with pytest.raises(DatasetError, match=r"000000-0000\.tar has \d+ bytes and the manifest says \d+"):
        list(dataset.documents())
    row = dataset.index().to_pylist()[1]
    tar.write_bytes(whole[: row["offset"] + 600])
    with pytest.raises(DatasetError, match=r"000000-0000\.tar is cut: it has \d+ bytes, and \d+ are named"):
        dataset.read(row["shard"], row["offset"], row["size"])
    tar.unlink()
    with pytest.raises(DatasetError, match="does not exist"):
        list(dataset.documents())


def test_a_link_in_a_shard_is_refused():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("a.json")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DatasetError, match="not a plain file"):
        read_document(buffer.getvalue(), "here")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "has schema version 2"),
        ({"key": 3}, "field 'key' is 3"),
        ({"blocks": [{"type": "sound"}]}, "type is 'sound'"),
        ({"blocks": [{"type": "text", "text": None, "caption": False}]}, "block 0: field 'text' is None"),
        ({"blocks": [7]}, "field 'blocks' holds 7"),
        ({"blocks": [{"type": "image", "frames": [], "url": "", "alt": "", "title": ""}]}, "exactly 1 frame"),
        ({"measures": {"words": "three"}}, "field 'words' is 'three'"),
        ({"version": 0}, "has schema version 0"),
        ({"extra": 1}, "field 'extra' is not of schema version 1"),
        ({"blocks": [{"type": "text", "text": "", "caption": False, "bold": 1}]}, "block 0: field 'bold' is not of"),
    ],
)
def test_a_document_that_breaks_the_schema_names_place_and_field(change, sentence):
    record = {"version": 1, "key": "k", "source": "s", "blocks": [], "facts": {}, "measures": {}} | change
    with pytest.raises(DatasetError, match=r"^shard x") as caught:
        decode_document(json.dumps(record).encode(), {}, "shard x")
    assert sentence in str(caught.value)


def test_a_missing_frame_is_named():
    with pytest.raises(DatasetError, match=r"member '.*\.0\.png' is not in the shard"):
        decode_document(encode_document(document()), {}, "shard x")


@given(
    st.text(),
    st.lists(st.text(), max_size=3),
    st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
)
@settings(deadline=None)
def test_any_text_survives_but_lone_surrogates(source, texts, measures):
    written = Document(key="k", source=source, blocks=tuple(Text(text=text) for text in texts), measures=measures)
    read = decode_document(encode_document(written), {}, "here")

    def clean(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    assert [text.text for text in read.texts] == [clean(text) for text in texts]
    assert read.source == clean(source)
    assert set(read.measures.values()) == set(measures.values())


def test_member_names_count_over_all_media():
    key = document_key("a")
    assert member_names(document("a", frames=2)) == [f"{key}.0.png", f"{key}.1.jpg", f"{key}.2.jpg"]


def test_a_folder_without_a_manifest_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"has no manifest\.json"):
        open_dataset(str(tmp_path))


def test_a_newer_manifest_is_refused(tmp_path):
    dataset_of(tmp_path, document())
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(DatasetError, match="schema version 2"):
        open_dataset(str(tmp_path))


def test_a_manifest_from_before_a_field_was_added_is_read(tmp_path):
    dataset = dataset_of(tmp_path, document())
    record = json.loads((tmp_path / "manifest.json").read_text())
    older = {name: value for name, value in record.items() if name not in ("removals", "foreign", "notes")}
    (tmp_path / "manifest.json").write_text(json.dumps(older))
    assert open_dataset(str(tmp_path)).manifest == dataset.manifest


@pytest.mark.parametrize(
    ("version", "sentence"),
    [(0, "has schema version 0; versions begin with 1"), ("1", "field 'version' is '1'"), (None, "'version' is None")],
)
def test_what_is_no_version_is_refused(tmp_path, version, sentence):
    dataset_of(tmp_path, document())
    record = json.loads((tmp_path / "manifest.json").read_text()) | {"version": version}
    (tmp_path / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(DatasetError, match=sentence):
        open_dataset(str(tmp_path))


def test_merging_orders_commits_and_adds_counts():
    first = Commit(chunk="000000", shards=(), counts={"pages": 2}, drops={"few_words": 1})
    second = Commit(chunk="000001", shards=(), counts={"pages": 3}, drops={}, notes=("cut",))
    manifest = merge("job", {"a": 1}, [second, first])
    assert (manifest.counts, manifest.drops, manifest.notes) == ({"pages": 5}, {"few_words": 1}, ("cut",))


def test_keys_depend_on_where_their_parts_end():
    assert document_key("ab", "c") != document_key("a", "bc")
    assert len(document_key("x")) == 32


def test_a_mutated_shard_gives_documents_or_a_dataset_error(tmp_path):
    write_shard(locate(str(tmp_path)), "s", [document(str(n)) for n in range(3)])
    whole = (tmp_path / "s.tar").read_bytes()
    choice = random.Random(20261121)
    refused = 0
    for _ in range(400):
        data = bytearray(whole[: choice.randrange(1, len(whole))] if choice.random() < 0.3 else whole)
        for _ in range(choice.randrange(1, 30)):
            data[choice.randrange(len(data))] = choice.randrange(256)
        (tmp_path / "s.tar").write_bytes(data)
        try:
            assert all(isinstance(found, Document) for found in read_shard(locate(str(tmp_path / "s.tar"))))
        except DatasetError as error:
            refused += "s.tar" in str(error)
    assert refused > 100


def test_the_rows_of_one_shard_are_read_alone(tmp_path):
    dataset = dataset_of(tmp_path, *(document(str(n)) for n in range(5)), shard_documents=2)
    rows = dataset.index().to_pylist()
    for shard in dataset.manifest.shards:
        offsets, sizes = dataset.shard_rows(shard.name)
        assert (offsets.dtype, sizes.dtype) == (np.int64, np.int64)
        mine = [(row["offset"], row["size"]) for row in rows if row["shard"] == shard.name]
        assert list(zip(offsets.tolist(), sizes.tolist(), strict=True)) == mine


def test_an_index_of_other_documents_is_named_with_its_shard(tmp_path):
    dataset = dataset_of(tmp_path, document("a", frames=1), document("b", frames=2))
    dataset_of(tmp_path / "other", document("a", frames=2), document("b", frames=1))
    (tmp_path / "000000-0000.parquet").write_bytes((tmp_path / "other" / "000000-0000.parquet").read_bytes())
    for read in (dataset.index, lambda: dataset.shard_rows("000000-0000")):
        with pytest.raises(ShardError, match="is not the index that the manifest names") as caught:
            read()
        assert caught.value.shard == "000000-0000"


def test_an_error_of_a_shard_survives_the_way_between_processes():
    error = ShardError("s.tar is cut", "s")
    again = copy.copy(error)  # made again as in another process, by what the error says of itself
    assert (str(again), again.shard) == ("s.tar is cut", "s")
