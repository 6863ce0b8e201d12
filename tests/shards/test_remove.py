"""Documents and images taken out by address: new shards, a record, and nothing left of what went."""

import json
import shutil
from pathlib import Path

import pytest
from shard_pages import page

from shards import remove, verify
from shards.dataset import open_dataset
from shards.document import Text
from shards.errors import DatasetError
from shards.location import Location, locate
from shards.manifest import merge, read_commits
from shards.remove import comparable, parse_addresses


def take_out(folder: Path, *urls: str) -> int:
    listed = folder.parent / "urls.txt"
    listed.write_text("\n".join(urls))
    return remove.main([str(folder), "--urls", str(listed)])


@pytest.fixture
def folder(make_dataset, tmp_path) -> Path:
    make_dataset([page("a", "1", "2"), page("b", "3")], [page("c", "4")], [page("d", "5"), page("e", "2", "6")])
    return tmp_path / "set"


def test_documents_and_images_leave_and_the_record_says_which(folder, capsys):
    before = open_dataset(str(folder)).manifest
    untouched = (folder / "000001-0000.tar").stat().st_mtime_ns
    assert take_out(folder, "http://x/b", "HTTPS://X/2#top") == 0
    assert "1 documents left, and 2 images and videos of others; 2 shards were written anew" in capsys.readouterr().out
    dataset = open_dataset(str(folder))
    assert {document.source: [media.url for media in document.media] for document in dataset.documents()} == {
        "http://x/a": ["http://x/1"],
        "http://x/c": ["http://x/4"],
        "http://x/d": ["http://x/5"],
        "http://x/e": ["http://x/6"],
    }
    assert [shard.name for shard in dataset.manifest.shards] == ["000000-0000-r1", "000001-0000", "000002-0000-r1"]
    assert (folder / "000001-0000.tar").stat().st_mtime_ns == untouched
    assert not list(folder.glob("000000-0000.*"))
    assert not [path for path in folder.rglob("*.tar") if b"Before 3." in path.read_bytes()]
    record = json.loads((folder / "removals" / "000001.json").read_text())
    assert [(one["source"], one["url"], one["reason"]) for one in record["removed"]] == [
        ("http://x/a", "http://x/2", "medium_named"),
        ("http://x/b", "", "document_named"),
        ("http://x/e", "http://x/2", "medium_named"),
    ]
    assert dataset.manifest.removals == ("000001.json",)
    assert dataset.manifest.drops == {"document_removed": 1, "medium_removed": 2}
    assert (before.counts, dataset.manifest.counts) == ({"documents": 5}, {"documents": 4})
    assert dataset.manifest.sha256 != before.sha256
    assert verify.main([str(folder)]) == 0


def test_features_go_with_the_shards_they_were_made_of(folder):
    for name in ("000000-0000", "000001-0000"):
        (folder / "features" / "key").mkdir(parents=True, exist_ok=True)
        (folder / "features" / "key" / f"{name}.safetensors").touch()
    assert take_out(folder, "http://x/b") == 0
    assert [path.name for path in folder.glob("features/*/*")] == ["000001-0000.safetensors"]


def test_a_job_that_merges_its_commits_again_has_the_same_manifest(folder):
    take_out(folder, "http://x/b", "http://x/2")
    assert merge("test", {}, read_commits(locate(str(folder)))) == open_dataset(str(folder)).manifest


def test_the_texts_of_a_document_stay_when_an_image_goes(folder):
    take_out(folder, "http://x/1")
    (document,) = (one for one in open_dataset(str(folder)).documents() if one.source == "http://x/a")
    texts = [block.text if isinstance(block, Text) else block.url for block in document.blocks]
    assert texts == ["Before 1.", "Before 2.", "http://x/2", "End of a."]


def test_a_document_without_a_medium_left_goes_and_with_it_its_shard(folder):
    take_out(folder, "http://x/4")
    dataset = open_dataset(str(folder))
    assert [shard.name for shard in dataset.manifest.shards] == ["000000-0000", "000002-0000"]
    record = json.loads((folder / "removals" / "000001.json").read_text())
    assert [one["reason"] for one in record["removed"]] == ["medium_named", "no_medium_left"]
    assert record["replacements"][0]["new"] is None


def test_a_second_call_makes_a_second_generation_and_an_idle_one_changes_nothing(folder, capsys):
    take_out(folder, "http://x/2")
    take_out(folder, "http://x/a")
    dataset = open_dataset(str(folder))
    assert dataset.manifest.removals == ("000001.json", "000002.json")
    assert [shard.name for shard in dataset.manifest.shards] == ["000000-0000-r2", "000001-0000", "000002-0000-r1"]
    assert take_out(folder, "http://x/a", "http://x/2") == 0
    assert "holds nothing under these addresses" in capsys.readouterr().out
    assert open_dataset(str(folder)).manifest == dataset.manifest


@pytest.mark.parametrize(
    ("owner", "function", "calls"),
    [
        (remove, "asdict", 0),  # the new shards lie there, and nothing says so
        (remove, "write_commit", 0),
        (remove, "write_commit", 1),
        (remove, "write_manifest", 0),
        (Location, "delete", 0),
        (Location, "delete", 3),
    ],
)
def test_a_call_that_was_killed_is_finished_by_the_next(folder, monkeypatch, owner, function, calls):
    undisturbed = folder.with_name("undisturbed")
    shutil.copytree(folder, undisturbed)
    take_out(undisturbed, "http://x/b", "http://x/2")
    whole, left = getattr(owner, function), iter(range(calls))

    def killed(*arguments: object) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return whole(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(owner, function, killed)
        with pytest.raises(KeyboardInterrupt):
            take_out(folder, "http://x/b", "http://x/2")
    assert len(list(open_dataset(str(folder)).documents())) in (4, 5)  # one of the generations stands whole
    take_out(folder, "http://x/b", "http://x/2")
    ends = [
        {path.relative_to(end): path.read_bytes() for path in end.rglob("*") if path.is_file()}
        for end in (folder, undisturbed)
    ]
    assert ends[0] == ends[1]


def test_addresses_are_compared_without_what_makes_no_other():
    same = ["http://Example.org/a?b=C", "https://example.org/a?b=C#d", "http://example.org:80/a?b=C"]
    assert {comparable(url) for url in same} == {"example.org/a?b=C"}
    assert comparable("http://example.org") == comparable("https://example.org/")
    assert len({comparable(url) for url in ("http://e.org/a", "http://e.org/A", "http://e.org/a/", "http://[e")}) == 4


def test_a_star_stands_for_all_that_begin_so():
    addresses = parse_addresses(["https://example.org/*", "http://other.org/a"])
    named = ["http://example.org/any/thing", "http://example.org", "http://other.org/a"]
    assert all(addresses.name(url) for url in named)
    assert not any(addresses.name(url) for url in ("http://example.org.evil/", "http://other.org/ab", ""))


def test_bad_input_is_refused(folder, tmp_path, capsys):
    with pytest.raises(DatasetError, match="the file of addresses is empty"):
        parse_addresses(["", " "])
    assert remove.main([str(tmp_path / "none"), "--urls", str(tmp_path / "none.txt")]) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err
    (tmp_path / "urls.txt").write_text("http://x/b")
    assert remove.main([str(tmp_path / "none"), "--urls", str(tmp_path / "urls.txt")]) == 2
    assert "is not a finished dataset" in capsys.readouterr().err
