"""`--write-warc`: what a crawl fetched is kept, and gives the same documents again without the network."""

from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.recordloader import ArcWarcRecord

from pipeline import web
from shards.dataset import open_dataset
from shards.document import Document

FLAGS = ["--chunk_pages", "2", "--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0", "--fetch.retries", "0"]


@pytest.fixture
def photograph(material: Path) -> bytes:
    return (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()


def documents(output: Path) -> list[Document]:
    return list(open_dataset(str(output)).documents())


def good(record: ArcWarcRecord) -> bool:
    """Whether the record that was read has the digests that it says."""
    return bool(record.digest_checker and record.digest_checker.passed)


@pytest.mark.usefixtures("ray_cluster")
def test_a_run_is_extracted_again_from_what_it_kept(site, photograph, tmp_path):
    for n in range(4):
        site.page(f"/{n}.html", f"<p>Page number {n} speaks of two pictures.</p><img src=a.webp><img src={n}.webp>")
        site.file(f"/{n}.webp", photograph, "image/webp")
    site.file("/a.webp", photograph, "image/webp")
    site.answers["/moved"] = (301, {"Location": "/3.html"}, b"")
    site.page(
        "/2.webp", "<p>This is an error page where a picture should be, and no page of its own.</p><img src=a.webp>"
    )
    site.answers["/1.webp"] = (302, {"Location": "/a.webp"}, b"")
    site.answers["/0.webp"] = (503, {}, b"later")
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"{site.url}/{path}\n" for path in ("moved", "0.html", "1.html", "gone", "2.html")))
    argv = ["--urls", str(urls), "--write-warc", "--output", str(tmp_path / "web"), *FLAGS]
    assert web.main(argv) == 0
    kept = sorted((tmp_path / "web" / "warc").iterdir())
    assert len(kept) == 3

    site.requests.clear()
    again = ["--warc", str(tmp_path / "web" / "warc" / "*"), "--output"]
    assert web.main([*again, str(tmp_path / "first")]) == 0
    assert site.requests == []
    expected = documents(tmp_path / "web")
    assert [document.source.rpartition("/")[2] for document in expected] == ["3.html", "0.html", "1.html", "2.html"]
    assert [len(document.media) for document in expected] == [2, 1, 2, 1]
    assert documents(tmp_path / "first") == expected

    site.file("/0.webp", photograph, "image/webp")
    assert web.main([*argv, "--retry-failed"]) == 0
    assert web.main([*again, str(tmp_path / "second")]) == 0
    expected = documents(tmp_path / "web")
    assert [len(document.media) for document in expected] == [2, 2, 2, 1]
    assert documents(tmp_path / "second") == expected


@pytest.mark.usefixtures("ray_cluster")
def test_addresses_that_lead_to_one_picture_fetch_and_keep_it_once(site, material, tmp_path):
    pictures = sorted((material / "images-captions" / "coco-by" / "images").iterdir())
    for n in range(6):
        site.file(f"/{n}.jpg", pictures[n].read_bytes(), "image/jpeg")
        site.answers[f"/moved-{n}.jpg"] = (301, {"Location": f"/{n}.jpg"}, b"")
        site.page(
            f"/{n}.html", f"<title>{n}</title><p>Page {n} speaks of pictures.</p><img src=moved-{n}.jpg><img src=0.jpg>"
        )
    site.page("/refused.html", "<p>A page that asks for no use.</p><img src=0.jpg>", X_Robots_Tag="noai")
    (tmp_path / "urls.txt").write_text("".join(f"{site.url}/{n}.html\n" for n in [*range(6), "refused"]))
    loopback = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
    argv = ["--urls", str(tmp_path / "urls.txt"), "--output", str(tmp_path / "out"), "--write-warc", *loopback]
    assert web.main(argv) == 0
    assert len(documents(tmp_path / "out")) == 6
    assert site.requests.count("/0.jpg") <= 2, "at most once by its own name, and once where /moved-0.jpg leads"
    site.requests.clear()
    (kept,) = (tmp_path / "out" / "warc").iterdir()
    assert web.main(["--warc", str(kept), "--output", str(tmp_path / "again")]) == 0
    assert documents(tmp_path / "again") == documents(tmp_path / "out")
    assert site.requests == []
    with kept.open("rb") as file:
        kinds = [record.rec_type for record in ArchiveIterator(file)]
    assert (kinds.count("response"), kinds.count("resource")) == (6 + 6 + 6, 6)


@pytest.mark.usefixtures("ray_cluster")
def test_what_is_kept_is_a_warc_as_others_read_them(site, photograph, tmp_path):
    site.page("/0.html", "<p>A page that speaks of one picture.</p><img src=0.webp>")
    site.file("/0.webp", photograph, "image/webp")
    (tmp_path / "urls.txt").write_text(f"{site.url}/0.html\n")
    argv = ["--urls", str(tmp_path / "urls.txt"), "--write-warc", "--output", str(tmp_path / "out"), *FLAGS]
    assert web.main(argv) == 0
    (kept,) = (tmp_path / "out" / "warc").iterdir()
    with kept.open("rb") as file:
        records = ArchiveIterator(file, check_digests=True)
        found = [
            (record.rec_type, record.rec_headers["WARC-Target-URI"], record.content_stream().read(), good(record))
            for record in records
        ]
    page = site.answers["/0.html"][2]
    assert found == [
        ("response", f"{site.url}/0.html", page, True),
        ("response", f"{site.url}/0.webp", photograph, True),
        ("resource", f"urn:pageinfo:{site.url}/0.html", b"{}", True),
    ]
