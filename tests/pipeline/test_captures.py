"""What an archive holds: pages, the best capture of each address, redirects, revisits, and what its maker says."""

import gzip
import io

import pytest
from archive_bytes import PACKS, answer, record

from pipeline.archives.captures import index_archive
from pipeline.archives.index import ArchiveIndex, Entry, count_rows, read_index, write_index
from shards.errors import DatasetError
from shards.location import locate

PICTURE = answer(b"\x89PNG", content_type="image/png")


def index(*records: bytes) -> ArchiveIndex:
    return index_archive(io.BytesIO(b"".join(records)), "x.warc")


def pages(made: ArchiveIndex) -> list[str]:
    return [entry.url for entry in made.entries if entry.page]


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_entries_say_what_lies_where(pack):
    picture, page = record("http://a.org/b.png", PICTURE), record("http://a.org/", answer())
    made = index(pack(picture), pack(page))
    first, second = len(pack(picture)), len(pack(page))
    if pack is PACKS["plain"]:
        first, second = first, second - 4  # the empty lines behind a record are not its own
    assert list(made.entries) == [
        Entry(url="http://a.org/", archive="x.warc", offset=len(pack(picture)), length=second, status=200, page=True),
        Entry(
            url="http://a.org/b.png",
            archive="x.warc",
            offset=0,
            length=first - (4 if pack is PACKS["plain"] else 0),
            status=200,
        ),
    ]
    assert (made.pages, made.counts, made.notes) == (1, {"archives": 1, "archive_records": 2}, ())


def test_addresses_are_canonical_and_other_records_are_no_pages():
    made = index(
        record("<http://A.org:80/a b#c>", answer()),
        record("dns:a.org", b"20261121\na.org. 1 IN A 1.2.3.4\n", Content_Type="text/dns"),
        record("http://a.org/asked", b"GET / HTTP/1.1\r\n\r\n", kind="request"),
        record("http://user:secret@a.org/", answer()),
        record("http://a.org/typed", answer(content_type="application/xhtml+xml; charset=utf-8")),
        record("http://a.org/sniffed", answer(b"\n<!DOCTYPE html>", content_type="")),
        record("http://a.org/resource", b"<p>", kind="resource", Content_Type="text/html"),
        record("http://a.org/no-http", b"neither head nor tail"),
    )
    assert pages(made) == [
        "http://a.org/a%20b",
        "http://a.org/typed",
        "http://a.org/sniffed",
        "http://a.org/resource",
    ]
    assert len(made.entries) == 4
    assert made.counts["archive_records"] == 8


def test_of_two_captures_an_answer_goes_before_a_redirect_and_that_before_a_failure():
    lost = record("http://a.org/", answer(status="404 Not Found"))
    moved = record("http://a.org/", answer(b"", status="301 Moved", Location="/new"))
    first, second = record("http://a.org/", answer(b"<p>first")), record("http://a.org/", answer(b"<p>second"))
    (entry,) = index(lost, moved, first, second).entries
    assert (entry.status, entry.offset, entry.page) == (200, len(lost + moved), True)
    (entry,) = index(lost, moved).entries
    assert (entry.status, entry.target, entry.page) == (301, "http://a.org/new", False)
    (entry,) = index(lost).entries
    assert (entry.status, entry.page) == (404, True)


def test_a_revisit_stands_for_its_original_wherever_that_lies():
    digest = {"WARC_Payload_Digest": "sha1:ABC"}
    head = answer(b"")
    same = record("http://a.org/again", head, kind="revisit", **digest)
    before = record("http://a.org/", head, kind="revisit", WARC_Refers_To_Target_URI="http://a.org/old")
    elsewhere = record("http://a.org/x", head, kind="revisit", WARC_Refers_To_Target_URI="http://a.org/before")
    alone = record("http://a.org/alone", head, kind="revisit", WARC_Payload_Digest="sha1:OTHER")
    moved = record("http://a.org/moved", answer(b"", status="302 Found", Location="/"), kind="revisit", **digest)
    other = record("http://a.org/other", answer())
    original = record("http://a.org/old", answer(), **digest)
    made = index(same, before, elsewhere, alone, moved, other, original)
    place = len(same + before + elsewhere + alone + moved + other)
    found = {entry.url: entry for entry in made.entries}
    assert {url for url, entry in found.items() if entry.offset == place} == {
        "http://a.org/again",
        "http://a.org/",
        "http://a.org/old",
    }
    assert found["http://a.org/moved"].target == "http://a.org/"
    assert "http://a.org/alone" not in found
    assert found["http://a.org/x"].target == "http://a.org/before", "another archive may hold it"
    assert made.counts["archive_revisits_without_original"] == 2
    assert len(pages(made)) == 5


def test_what_the_maker_calls_pages_are_the_pages_in_that_order():
    made = index(
        record("http://a.org/frame", answer()),
        record("http://a.org/", answer()),
        record("http://a.org/short", answer(b"", status="302 Found", Location="/frame")),
        record("urn:pageinfo:http://a.org/short", b"{}", kind="resource", Content_Type="application/json"),
        record("urn:pageinfo:http://a.org/", b"{}", kind="resource", Content_Type="application/json"),
        record("urn:pageinfo:http://a.org/elsewhere", b"{}", kind="resource", Content_Type="application/json"),
    )
    assert pages(made) == ["http://a.org/short", "http://a.org/"]
    assert [entry.url for entry in made.entries] == ["http://a.org/short", "http://a.org/", "http://a.org/frame"]


def test_an_archive_in_one_piece_is_read_and_marked():
    records = record("http://a.org/", answer()) + record("http://a.org/b.png", PICTURE)
    made = index(gzip.compress(records))
    assert [entry.offset for entry in made.entries] == [0, records.index(b"WARC/1.1", 10)]
    assert made.one_piece == "x.warc"
    assert index(records).one_piece == ""


def test_damage_is_noted_and_the_rest_kept():
    place = len(record("http://a.org/", answer()))
    made = index(record("http://a.org/", answer()), b"rubbish\n", record("http://a.org/b", answer()), b"WARC/1.1\n")
    assert pages(made) == ["http://a.org/", "http://a.org/b"]
    assert made.counts == {"archives": 1, "archive_records": 2, "archives_cut": 1}
    assert made.notes == (
        f"x.warc is cut or broken: at byte {place}: no record begins with b'rubbish\\n' (and at 1 more); "
        "the whole records were kept",
    )


def test_an_index_comes_back_from_its_file(tmp_path):
    made = index(record("http://a.org/b.png", PICTURE), record("http://a.org/", answer()), b"rubbish")
    location = locate(str(tmp_path / "x.parquet"))
    write_index(location, made)
    table = read_index(location)
    assert [table.find(entry.url) for entry in made.entries] == list(made.entries)
    assert table.find("http://a.org/other") is None
    assert table.addresses(0, 1) == ["http://a.org/"]
    assert table.addresses(1, 9) == ["http://a.org/b.png"]
    assert (table.counts, table.notes, table.one_piece) == (made.counts, made.notes, made.one_piece)
    assert count_rows(location) == (1, 2)


def test_a_file_that_is_no_index_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no Parquet")
    for ask in (read_index, count_rows):
        with pytest.raises(DatasetError, match="cannot be read as an index of archives"):
            ask(locate(str(tmp_path / "x.parquet")))
