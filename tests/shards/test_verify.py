"""`python -m shards.verify` names each shard that is not what the manifest says, in one sentence each."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shard_pages import page

from shards import verify
from shards.shard import sha256_of


@pytest.fixture
def dataset(make_dataset):
    return make_dataset([page("a", "1", "2"), page("b", "3")], [page("c", "4")])


def faults(tmp_path, capsys) -> list[str]:
    """The sentences that the command prints."""
    code = verify.main([str(tmp_path / "set")])
    *sentences, summary = capsys.readouterr().out.splitlines()
    assert code == bool(sentences)
    assert f"{len(sentences) or 'no'} shards with a fault" in summary
    return sentences


def test_a_whole_dataset_has_no_fault(dataset, tmp_path, capsys):
    assert faults(tmp_path, capsys) == []
    assert verify.main([str(tmp_path / "set"), "--shard", "000001-0000"]) == 0
    assert capsys.readouterr().out.startswith("1 shards, 1 documents, ")


def test_one_byte_of_a_picture_is_named(dataset, tmp_path, capsys):
    tar = tmp_path / "set" / "000000-0000.tar"
    data = bytearray(tar.read_bytes())
    assert data[dataset.index().to_pylist()[0]["size"] - 512] == ord("2")  # the second picture of the first document
    data[dataset.index().to_pylist()[0]["size"] - 512] ^= 1
    tar.write_bytes(data)
    (sentence,) = faults(tmp_path, capsys)
    assert sentence.startswith(f"{tar} was changed: its sha256 is ")


def test_one_byte_of_a_text_is_named_with_its_document_and_field(dataset, tmp_path, capsys):
    tar = tmp_path / "set" / "000000-0000.tar"
    tar.write_bytes(tar.read_bytes().replace(b'"width": 4', b'"wifth": 4', 1))
    (sentence,) = faults(tmp_path, capsys)
    assert sentence == f"{tar}, document {page('a').key}, block 1: field 'wifth' is not of schema version 1"


def test_a_missing_a_cut_and_an_extended_shard_are_named(dataset, tmp_path, capsys):
    first, second = (tmp_path / "set" / f"00000{n}-0000.tar" for n in (0, 1))
    whole = first.read_bytes()
    first.write_bytes(whole[:-512])
    second.unlink()
    assert faults(tmp_path, capsys) == [
        f"{first} has {len(whole) - 512} bytes and the manifest says {len(whole)}; make the dataset again",
        f"{second} does not exist or is not a file",
    ]
    first.write_bytes(whole + bytes(512))
    assert faults(tmp_path, capsys)[0].startswith(f"{first} has {len(whole) + 512} bytes and the manifest says")


def test_a_missing_and_a_changed_index_are_named(dataset, tmp_path, capsys):
    first, second = (tmp_path / "set" / f"00000{n}-0000.parquet" for n in (0, 1))
    shutil.copy(second, first)
    second.unlink()
    one, other = faults(tmp_path, capsys)
    assert one == f"{first} is not the index that the manifest names, by its sha256; make the dataset again"
    assert other.startswith(f"{second} cannot be read: ")


def test_an_index_that_disagrees_with_its_tar_is_named_even_where_the_manifest_names_it(dataset, tmp_path, capsys):
    folder = tmp_path / "set"
    rows = pq.read_table(folder / "000000-0000.parquet")
    words = pa.array([4, 6], pa.int64())
    column = rows.schema.get_field_index("words")
    pq.write_table(rows.set_column(column, rows.schema.field("words"), words), folder / "000000-0000.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["shards"][0]["index_sha256"] = sha256_of(folder / "000000-0000.parquet")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert faults(tmp_path, capsys) == [
        f"{folder / '000000-0000.tar'}, document {page('a', '1', '2').key}: row 0 of the index has words 4 "
        "and the tar 7; make the dataset again"
    ]


def test_what_is_no_dataset_is_refused(dataset, tmp_path, capsys):
    assert verify.main([str(tmp_path / "set"), "--shard", "none"]) == 2
    assert "names no shard 'none'" in capsys.readouterr().err
    (tmp_path / "set" / "manifest.json").unlink()
    assert verify.main([str(tmp_path / "set")]) == 2
    assert "has no manifest.json, so it is not a finished dataset" in capsys.readouterr().err
