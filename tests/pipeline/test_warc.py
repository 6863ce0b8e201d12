"""Archives that are damaged in every way: what is whole is kept, and nothing raises."""

import random
from pathlib import Path

import pytest

from jobs.command import InputError
from pipeline.images import ImageConfig
from pipeline.warc import documents_of_archive, find_archives
from shards.chunk import Tally
from shards.document import Document
from shards.location import locate


def read(path: Path) -> tuple[list[Document], Tally]:
    tally = Tally()
    return list(documents_of_archive(str(path), None, image=ImageConfig(), min_words=5, tally=tally)), tally


def test_every_real_archive_is_read_or_noted(material):
    archives = sorted((material / "warc").glob("*arc*"))
    cut = 0
    for path in archives:
        _, tally = read(path)
        assert tally.counts["archives"] == 1
        assert tally.counts["archives_cut"] == len(tally.notes)
        cut += len(tally.notes)
    assert len(archives) >= 50
    assert 5 <= cut <= 20


def test_mutated_archives_never_raise(material, tmp_path):
    names = ("ipwb__frogTest.warc", "ipwb__froggie.warc.gz", "warcio__example-space-in-url.arc")
    originals = [(material / "warc" / name).read_bytes() for name in names]
    choice = random.Random(20261121)
    cut = 0
    for _ in range(150):
        data = bytearray(choice.choice(originals))
        for _ in range(choice.randrange(1, 40)):
            data[choice.randrange(len(data))] = choice.randrange(256)
        (tmp_path / "x.warc").write_bytes(data[: choice.randrange(1, len(data))] if choice.random() < 0.5 else data)
        _, tally = read(tmp_path / "x.warc")
        cut += tally.counts["archives_cut"]
    assert cut > 30


def test_archives_are_found_by_a_star_and_in_order(tmp_path):
    for name in ("b.warc.gz", "a.warc.gz", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    assert find_archives(locate(f"{tmp_path}/*.warc.gz")) == [f"{tmp_path}/a.warc.gz", f"{tmp_path}/b.warc.gz"]
    with pytest.raises(InputError, match="names no file"):
        find_archives(locate(f"{tmp_path}/*.arc"))
