"""The archives of a run: found, indexed once, cut into chunks, on disks and on web servers."""

import asyncio
import gzip
import io

import pytest
from archive_bytes import PAGE, answer, record, write
from range_server import serving_ranges

from jobs.command import InputError
from pipeline.archives.chunking import (
    OpenArchive,
    Rows,
    cut_rows,
    find_archives,
    list_archives,
    open_archive,
)
from pipeline.archives.ranges import Access, open_file, open_ranges
from pipeline.door import FetchError
from pipeline.fetch import FetchConfig
from shards.errors import DatasetError
from shards.location import Location, locate

ACCESS = Access(fetch=FetchConfig(delay_seconds=0, delay_factor=0, retries=0), allow_network="127.0.0.0/8")


def pages(*paths: str) -> list[bytes]:
    return [record(f"http://a.org/{path}", answer(PAGE)) for path in paths]


def opened(rows: Rows, output: Location, *asked: str) -> tuple[OpenArchive, list[str]]:
    """What a chunk's task opens, and what its door gives for addresses: a type, or a reason."""

    async def work() -> tuple[OpenArchive, list[str]]:
        async with open_archive(rows, output, ACCESS) as archive:
            given = []
            for url in asked:
                try:
                    given.append((await archive.door.fetch(url, 1_000_000)).content_type)
                except FetchError as error:
                    given.append(error.reason)
            return archive, given

    return asyncio.run(work())


def test_archives_are_found_by_a_star_and_in_order(tmp_path):
    for name in ("b.warc.gz", "a.warc.gz", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    everything = [f"{tmp_path}/a.warc.gz", f"{tmp_path}/b.warc.gz"]
    assert find_archives(f"{tmp_path}/*.warc.gz") == everything
    assert find_archives(f"https://a.org/x.warc.gz, {tmp_path}/b*") == ["https://a.org/x.warc.gz", everything[1]]
    assert find_archives(f"{tmp_path}/b*, {tmp_path}/*.warc.gz") == everything[::-1]
    assert find_archives(f"{tmp_path}/*.w?rc*") == everything
    with pytest.raises(InputError, match="names no file"):
        find_archives(f"{tmp_path}/*.arc")


@pytest.mark.usefixtures("ray_cluster")
def test_an_index_is_made_once_and_again_when_the_archive_grew(tmp_path):
    path, output = write(tmp_path / "x.warc", pages("", "b")), locate(str(tmp_path / "out"))
    (first,) = list_archives([str(path)], output, ACCESS)
    written = (tmp_path / "out" / "index" / first).stat().st_mtime_ns
    assert list_archives([str(path)], output, ACCESS) == [first]
    assert (tmp_path / "out" / "index" / first).stat().st_mtime_ns == written
    write(tmp_path / "x.warc", pages("", "b", "c"))
    (second,) = list_archives([str(path)], output, ACCESS)
    assert second != first
    assert cut_rows([second], output, 100, None)[1] == 3


@pytest.mark.usefixtures("ray_cluster")
def test_pages_of_one_archive_are_cut_into_chunks(tmp_path):
    paths = [str(write(tmp_path / "a.warc", pages("", "b", "c"))), str(write(tmp_path / "b.warc", [b"rubbish"]))]
    output = locate(str(tmp_path / "out"))
    first, second = list_archives(paths, output, ACCESS)
    rows, number = cut_rows([first, second], output, 2, None)
    assert number == 3
    assert rows == [
        Rows(index=first, start=0, stop=2, repeated=[]),
        Rows(index=first, start=2, stop=3, repeated=[]),
        Rows(index=second, start=0, stop=0, repeated=[]),
    ]
    assert cut_rows([first], output, 2, 1) == ([Rows(index=first, start=0, stop=1, repeated=[])], 3)
    chunks = [opened(run, output)[0] for run in rows]
    assert [chunk.addresses for chunk in chunks] == [["http://a.org/", "http://a.org/b"], ["http://a.org/c"], []]
    assert [chunk.counts.get("archives", 0) for chunk in chunks] == [1, 0, 1]
    assert [len(chunk.notes) for chunk in chunks] == [0, 0, 1]


@pytest.mark.usefixtures("ray_cluster")
def test_pictures_are_found_in_the_other_archives_of_a_run(tmp_path):
    picture = record("http://a.org/x.png", answer(b"\x89PNG", content_type="image/png"))
    paths = [str(write(tmp_path / "a.warc", pages(""))), str(write(tmp_path / "b.warc.gz", [picture], gzip.compress))]
    output = locate(str(tmp_path / "out"))
    names = list_archives(paths, output, ACCESS)
    rows = cut_rows(names, output, 9, None)[0]
    assert opened(rows[0], output, "http://a.org/x.png")[1] == ["image/png"]
    together = tmp_path / "out" / "index" / "together.parquet"
    written = together.stat().st_mtime_ns
    assert list_archives(paths, output, ACCESS) == names
    assert together.stat().st_mtime_ns == written
    together.unlink()  # as if there were more than MOST_TOGETHER
    assert opened(rows[0], output, "http://a.org/x.png")[1] == ["not_in_archive"]


@pytest.mark.usefixtures("ray_cluster")
def test_a_revisit_is_followed_into_another_archive(tmp_path):
    refers = {"WARC_Refers_To_Target_URI": "http://a.org/old"}
    paths = [
        str(write(tmp_path / "a.warc", [record("http://a.org/new", answer(b""), kind="revisit", **refers)])),
        str(write(tmp_path / "b.warc", pages("old"))),
    ]
    output = locate(str(tmp_path / "out"))
    rows = cut_rows(list_archives(paths, output, ACCESS), output, 9, None)[0]
    archive, given = opened(rows[0], output, "http://a.org/new")
    assert (archive.addresses, given) == (["http://a.org/new"], ["text/html"])


@pytest.mark.usefixtures("ray_cluster")
def test_a_page_that_two_archives_hold_is_worked_on_once(tmp_path):
    failed = record("http://a.org/b", answer(status="503 Unavailable"))
    records = {"a": [*pages("", "a"), failed], "b": pages("", "b")}
    paths = [str(write(tmp_path / f"{name}.warc", records[name])) for name in records]
    output = locate(str(tmp_path / "out"))
    names = list_archives(paths, output, ACCESS)
    rows = cut_rows(names, output, 9, None)[0]
    first, given = opened(rows[0], output, "http://a.org/b")
    second, _ = opened(rows[1], output)
    assert (first.addresses, second.addresses) == (["http://a.org/", "http://a.org/a"], ["http://a.org/b"])
    assert [chunk.counts.get("archive_pages_repeated", 0) for chunk in (first, second)] == [1, 1]
    assert given == ["text/html"], "where one archive has a failure, the other has the page"


@pytest.mark.usefixtures("ray_cluster")
def test_an_archive_in_one_piece_is_laid_out_for_each_chunk(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(b"".join(pages("", "b", "c"))))
    output = locate(str(tmp_path / "out"))
    names = list_archives([str(tmp_path / "a.warc.gz")], output, ACCESS)
    for rows in cut_rows(names, output, 2, None)[0]:
        archive, given = opened(rows, output, "http://a.org/c", "http://a.org/")
        assert given == ["text/html", "text/html"]
        assert archive.notes == ()


@pytest.mark.usefixtures("ray_cluster")
def test_an_archive_on_a_web_server_is_read_by_ranges(tmp_path):
    packed = [gzip.compress(one) for one in pages("", "b")]
    write(tmp_path / "x.warc.gz", packed)
    output, requests = locate(str(tmp_path / "out")), list[str]()
    with serving_ranges(tmp_path, requests) as server:
        names = list_archives([f"{server}/x.warc.gz"], output, ACCESS)
        requests.clear()
        archive, given = opened(cut_rows(names, output, 9, None)[0][0], output, "http://a.org/b", "http://a.org/none")
    assert archive.addresses == ["http://a.org/", "http://a.org/b"]
    assert given == ["text/html", "not_in_archive"]
    start, stop = len(packed[0]), len(packed[0] + packed[1]) - 1
    assert requests == ["/robots.txt ", f"/x.warc.gz bytes={start}-{stop}"]


@pytest.mark.usefixtures("ray_cluster")
def test_an_archive_that_cannot_be_read_is_refused_in_one_sentence(tmp_path):
    output = locate(str(tmp_path / "out"))
    write(tmp_path / "x.warc", pages(""))
    with serving_ranges(tmp_path, []) as server, pytest.raises(InputError, match=r"none.warc cannot be read: http_404"):
        list_archives([f"{server}/none.warc"], output, ACCESS)
    with serving_ranges(tmp_path, [], ranges=False) as server:
        with pytest.raises(InputError, match=r"x.warc cannot be read: no_range"):
            list_archives([f"{server}/x.warc"], output, ACCESS)
        with pytest.raises(InputError, match=r"x.warc cannot be read: forbidden_address"):
            list_archives([f"{server}/x.warc"], output, Access(fetch=ACCESS.fetch, allow_network=""))
    with pytest.raises(InputError, match="does not exist"):
        list_archives([str(tmp_path / "none.warc")], output, ACCESS)


def test_a_file_on_a_web_server_reads_like_one_on_disk(tmp_path):
    data = bytes(range(256)) * 40
    (tmp_path / "x").write_bytes(data)
    with serving_ranges(tmp_path, []) as server:
        for read_ahead in (0, 100, 1_000_000):
            with open_file(f"{server}/x", ACCESS, read_ahead) as file:
                assert file.seek(0, io.SEEK_END) == len(data)
                assert file.seek(-10, io.SEEK_END) == len(data) - 10
                assert file.read(20) == data[-10:]
                assert file.seek(300) == 300
                assert (file.read(5), file.tell(), file.read(0)) == (data[300:305], 305, b"")
                assert file.seek(5, io.SEEK_CUR) == 310
                assert file.read() == data[310:]
                assert file.read(1) == b""


def test_ranges_give_reasons(tmp_path):
    async def read(uri: str) -> bytes:
        async with open_ranges(ACCESS) as ranges:
            return await ranges.read(uri, 0, 10)

    with pytest.raises(FetchError, match=r"^archive_unreadable$"):
        asyncio.run(read(str(tmp_path / "none")))
    with serving_ranges(tmp_path, []) as server, pytest.raises(FetchError, match=r"^http_404$"):
        asyncio.run(read(f"{server}/none"))
    with pytest.raises(DatasetError, match="does not exist"), open_file(str(tmp_path / "none"), ACCESS):
        pass
