"""Archives cut anywhere: what stands before the cut is kept, whatever they are packed with, and the cut is noted."""

import gzip
import io
import shutil
from collections.abc import Callable

import pytest
from backports import zstd

from pipeline import web
from pipeline.archives.captures import index_archive
from shards.dataset import open_dataset


def as_is(data: bytes) -> bytes:
    return data


def record(number: int) -> bytes:
    page = f"<p>Page {number} of a site about wading birds.</p>{number * '<p>More of it.</p>'}".encode()
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.org/{number}\r\nContent-Length: {len(block)}"
    return head.encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


RECORDS = [record(number) for number in range(6)]


@pytest.mark.parametrize("pack", [as_is, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
def test_wherever_an_archive_is_cut_the_whole_records_before_are_kept(pack: Callable[[bytes], bytes]):
    packed = [pack(one) for one in RECORDS]
    whole = b"".join(packed)
    ends = [sum(map(len, packed[: number + 1])) for number in range(len(packed))]
    if pack is as_is:
        ends = [end - 4 for end in ends]  # the empty lines behind a record are not its own
    for cut in range(len(whole)):
        index = index_archive(io.BytesIO(whole[:cut]), "x.warc")
        kept = [entry.url for entry in index.entries]
        assert kept == [f"http://a.org/{number}" for number, end in enumerate(ends) if end <= cut], cut
        assert len(index.notes) == index.counts.get("archives_cut", 0) <= 1
    assert index_archive(io.BytesIO(whole), "x.warc").notes == ()


@pytest.mark.parametrize("step", [7])
def test_an_archive_in_one_piece_keeps_what_stands_before_its_cut(step: int):
    whole = gzip.compress(b"".join(RECORDS))
    kept = [len(index_archive(io.BytesIO(whole[:cut]), "x").entries) for cut in range(0, len(whole) + 1, step)]
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert len(index_archive(io.BytesIO(whole), "x").entries) == len(RECORDS)
    index = index_archive(io.BytesIO(whole[:-9]), "x")
    assert index.counts["archives_cut"] == 1
    assert len(index.entries) >= 5


@pytest.mark.usefixtures("ray_cluster")
def test_the_run_says_what_was_cut_and_harms_no_other_archive(material, tmp_path, capsys):
    original = material / "warc" / "warc2zim__kiwix-with-redirects.warc.gz"
    (tmp_path / "in").mkdir()
    shutil.copy(material / "warc" / "webarchive-discovery__IAH-urls-wget.warc.gz", tmp_path / "in" / "b.warc.gz")
    assert web.main(["--warc", str(tmp_path / "in" / "*"), "--output", str(tmp_path / "alone")]) == 0
    data = original.read_bytes()
    (tmp_path / "in" / "a.warc.gz").write_bytes(data[: len(data) * 9 // 10])
    capsys.readouterr()
    assert web.main(["--warc", str(tmp_path / "in" / "*"), "--output", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    dataset, alone = (open_dataset(str(tmp_path / name)) for name in ("out", "alone"))
    assert dataset.manifest.counts["archives_cut"] == 1
    (note,) = dataset.manifest.notes
    assert note.startswith("a.warc.gz is cut or broken: at byte ")
    assert f"note: {note}" in shown
    documents = list(dataset.documents())
    assert [document.source for document in documents if "kiwix" in document.source] == ["https://kiwix.org/en/"]
    assert [document for document in documents if "kiwix" not in document.source] == list(alone.documents())
