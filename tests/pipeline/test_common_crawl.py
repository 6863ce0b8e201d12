"""Common Crawl in small, served on loopback: an index of two files, archives in which the pages lie at their ranges."""

import asyncio
import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_bytes import answer, record
from range_server import serving_ranges

from jobs.command import InputError
from pipeline.archives.chunking import cut_rows, open_archive
from pipeline.archives.common_crawl import index_common_crawl
from pipeline.archives.ranges import Access
from pipeline.fetch import FetchConfig
from shards.location import locate

CRAWL = "CC-MAIN-2026-30"
ACCESS = Access(fetch=FetchConfig(delay_seconds=0, delay_factor=0, retries=0), allow_network="127.0.0.0/8")
PAGES = [  # address, top-level domain, languages, status, type
    ("http://a.is/", "is", "isl", 200, "text/html"),
    ("http://a.is/eng", "is", "eng,isl", 200, "text/html"),
    ("http://b.is/", "is", "isl", 200, "application/xhtml+xml"),
    ("http://b.is/x.pdf", "is", "isl", 200, "application/pdf"),
    ("http://c.is/gone", "is", "isl", 404, "text/html"),
    ("http://d.de/", "de", "deu", 200, "text/html"),
]


@pytest.fixture
def crawl(tmp_path):
    """The folder of a crawl: its archive, its index in two files, and the list of these."""
    folder = tmp_path / "served"
    (folder / "crawl-data" / CRAWL).mkdir(parents=True)
    offset, rows = 0, []
    with (folder / "crawl-data" / CRAWL / "x.warc.gz").open("wb") as archive:
        for url, tld, languages, status, kind in PAGES:
            packed = gzip.compress(record(url, answer(f"<p>This is {url}".encode(), str(status), kind)))
            rows.append(
                {
                    "url": url,
                    "url_host_tld": tld,
                    "content_languages": languages,
                    "fetch_status": status,
                    "content_mime_detected": kind,
                    "warc_filename": f"crawl-data/{CRAWL}/x.warc.gz",
                    "warc_record_offset": offset,
                    "warc_record_length": len(packed),
                }
            )
            offset += archive.write(packed)
    paths = [f"cc-index/crawl={CRAWL}/subset=warc/part-{number}.gz.parquet" for number in range(2)]
    for path, part in zip(paths, (rows[:3], rows[3:]), strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(part), folder / path)
    listed = [f"cc-index/crawl={CRAWL}/subset=robotstxt/part-0.gz.parquet", *paths]
    (folder / "crawl-data" / CRAWL / "cc-index-table.paths.gz").write_bytes(gzip.compress("\n".join(listed).encode()))
    return folder


def pages(names, output) -> list[tuple[str, bytes]]:
    """Address and content of the pages in the indexes."""

    async def read() -> list[tuple[str, bytes]]:
        found = []
        for rows in cut_rows(names, output, 2, None)[0]:
            async with open_archive(rows, output, ACCESS) as archive:
                found += [(url, (await archive.door.fetch(url, 10_000)).data) for url in archive.addresses]
        return found

    return asyncio.run(read())


@pytest.mark.usefixtures("ray_cluster")
def test_the_rows_that_pass_lead_to_the_pages(crawl, tmp_path):
    output, requests = locate(str(tmp_path / "out")), list[str]()
    with serving_ranges(crawl, requests) as server:
        condition = "url_host_tld = 'is' and content_languages = 'isl'"
        names = index_common_crawl(CRAWL, condition, f"{server}/", output, ACCESS, None)
        requests.clear()
        assert pages(names, output) == [
            ("http://a.is/", b"<p>This is http://a.is/"),
            ("http://b.is/", b"<p>This is http://b.is/"),
        ]
        fetched = [request for request in requests if "warc.gz" in request]
        assert len(fetched) == 2
        requests.clear()
        assert index_common_crawl(CRAWL, condition, f"{server}/", output, ACCESS, None) == names
        assert [request for request in requests if "parquet" in request] == []


@pytest.mark.usefixtures("ray_cluster")
def test_a_crawl_on_disk_with_a_limit_reads_no_more_of_the_index_than_it_needs(crawl, tmp_path):
    output = locate(str(tmp_path / "out"))
    names = index_common_crawl(CRAWL, "", f"{crawl}/", output, ACCESS, 2)
    assert len(names) == 1
    assert cut_rows(names, output, 100, 2)[1] == 3
    names = index_common_crawl(CRAWL, "", f"{crawl}/", output, ACCESS, 4)
    assert [url for url, _ in pages(names, output)] == [PAGES[number][0] for number in (0, 1, 2, 5)]


@pytest.mark.usefixtures("ray_cluster")
def test_an_index_that_cannot_be_read_is_refused(crawl, tmp_path):
    output = locate(str(tmp_path / "out"))
    with pytest.raises(InputError, match=r"CC-MAIN-1999-01/cc-index-table.paths.gz, the list .* cannot be read"):
        index_common_crawl("CC-MAIN-1999-01", "", f"{crawl}/", output, ACCESS, None)
    (crawl / f"cc-index/crawl={CRAWL}/subset=warc/part-1.gz.parquet").write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=r"part-1.gz.parquet cannot be read as an index of Common Crawl"):
        index_common_crawl(CRAWL, "", f"{crawl}/", output, ACCESS, None)
    listed = crawl / "crawl-data" / CRAWL / "cc-index-table.paths.gz"
    listed.write_bytes(gzip.compress(b"cc-index/subset=robotstxt/x.parquet\n"))
    with pytest.raises(InputError, match="names no file of an index"):
        index_common_crawl(CRAWL, "", f"{crawl}/", output, ACCESS, None)
    listed.write_bytes(b"no gzip")
    with pytest.raises(InputError, match="cannot be read"):
        index_common_crawl(CRAWL, "", f"{crawl}/", output, ACCESS, None)
