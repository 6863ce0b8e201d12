"""Each kind of input of `pipeline.web` from end to end: what lies there becomes documents, pictures and all."""

import gzip
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import web
from shards.dataset import open_dataset

LOOPBACK = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0", "--fetch.delay_factor", "0"]


@pytest.fixture
def recipes(material: Path, tmp_path: Path) -> Path:
    """Three recipes with a photograph each, and the photographs."""
    original, folder = material / "sites" / "based-cooking", tmp_path / "site"
    (folder / "pix").mkdir(parents=True)
    for name in ("pan-pizza", "matcha-cookies", "chocolate-chip-cookies"):
        page = next(original.rglob(f"{name}.html"))
        shutil.copy(page, folder / page.name)
    for picture in (original / "pix").iterdir():
        shutil.copy(picture, folder / "pix" / picture.name)
    return folder


def record(url: str, page: bytes) -> bytes:
    """The record of a page in a WARC."""
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def documents(output: Path) -> dict[str, int]:
    """How many pictures each document has, by where it comes from."""
    return {document.source: len(document.media) for document in open_dataset(str(output)).documents()}


def run(*argv: str) -> int:
    return web.main([*argv, *LOOPBACK])


@pytest.mark.usefixtures("ray_cluster")
def test_a_folder_gives_what_its_site_gives(recipes, serve_folder, tmp_path):
    address = serve_folder(recipes)
    addresses = [f"{address}/{path.name}" for path in sorted(recipes.glob("*.html"))]
    (tmp_path / "urls.txt").write_text("\n".join(addresses))
    assert run("--urls", str(tmp_path / "urls.txt"), "--output", str(tmp_path / "web")) == 0
    folder = ["--html_dir", str(recipes), "--html_base", f"{address}/", "--output", str(tmp_path / "folder")]
    assert run(*folder) == 0
    from_web, from_folder = open_dataset(str(tmp_path / "web")), open_dataset(str(tmp_path / "folder"))
    assert list(from_folder.documents()) == list(from_web.documents())
    assert from_folder.manifest.counts == from_web.manifest.counts
    assert from_folder.manifest.documents >= 2


@pytest.mark.usefixtures("ray_cluster")
def test_a_sitemap_gives_the_pages_that_it_lists_and_is_read_once(recipes, serve_folder, tmp_path, capsys):
    address = serve_folder(recipes)
    entries = "".join(f"<url><loc>{address}/{path.name}</loc></url>" for path in sorted(recipes.glob("*.html")))
    (recipes / "pages.xml.gz").write_bytes(gzip.compress(f"<urlset>{entries}</urlset>".encode()))
    listed = f"<sitemap><loc>{address}/pages.xml.gz</loc></sitemap><sitemap><loc>{address}/none.xml</loc></sitemap>"
    (recipes / "sitemap.xml").write_text(f"<sitemapindex>{listed}</sitemapindex>")
    argv = ["--sitemap", f"{address}/sitemap.xml", "--output", str(tmp_path / "out")]
    assert run(*argv) == 0
    assert f"note: the sitemap {address}/none.xml gave nothing: http_404" in capsys.readouterr().out
    found = documents(tmp_path / "out")
    assert f"{address}/pan-pizza.html" in found
    (recipes / "sitemap.xml").unlink()
    assert run(*argv) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert run("--sitemap", f"{address}/sitemap.xml", "--output", str(tmp_path / "other")) == 2
    assert "lists no page: the sitemap" in capsys.readouterr().err


@pytest.mark.usefixtures("ray_cluster")
def test_an_archive_without_pictures_gets_them_from_the_network(recipes, serve_folder, tmp_path):
    address = serve_folder(recipes)
    page = (recipes / "pan-pizza.html").read_bytes()
    (tmp_path / "x.warc").write_bytes(record(f"{address}/pan-pizza.html", page))
    argv = ["--warc", str(tmp_path / "x.warc"), "--output"]
    assert run(*argv, str(tmp_path / "archive")) == 0
    manifest = open_dataset(str(tmp_path / "archive")).manifest
    assert (manifest.documents, manifest.drops["image_not_in_archive"]) == (0, 1)
    for images in ("both", "network"):
        assert run(*argv, str(tmp_path / images), "--images", images) == 0
        assert documents(tmp_path / images) == {f"{address}/pan-pizza.html": 1}


@pytest.mark.usefixtures("ray_cluster")
def test_common_crawl_gives_the_pages_that_pass_and_the_network_their_pictures(recipes, serve_folder, tmp_path):
    address = serve_folder(recipes)
    base, crawl = tmp_path / "crawl", "CC-MAIN-2026-30"
    index = base / "cc-index" / "subset=warc" / "part-0.parquet"
    index.parent.mkdir(parents=True)
    rows, offset = [], 0
    with (base / "x.warc.gz").open("wb") as archive:
        for path in sorted(recipes.glob("*.html")):
            packed = gzip.compress(record(f"{address}/{path.name}", path.read_bytes()))
            place = {"warc_filename": "x.warc.gz", "warc_record_offset": offset, "warc_record_length": len(packed)}
            says = {"fetch_status": 200, "content_mime_detected": "text/html", "url_path": f"/{path.name}"}
            rows.append({"url": f"{address}/{path.name}", **place, **says})
            offset += archive.write(packed)
    pq.write_table(pa.Table.from_pylist(rows), index)
    (base / "crawl-data" / crawl).mkdir(parents=True)
    listed = gzip.compress(str(index.relative_to(base)).encode())
    (base / "crawl-data" / crawl / "cc-index-table.paths.gz").write_bytes(listed)
    argv = ["--common_crawl", crawl, "--index", "url_path like '/pan%'", "--common_crawl_base", f"{base}/"]
    assert run(*argv, "--output", str(tmp_path / "out")) == 0
    assert documents(tmp_path / "out") == {f"{address}/pan-pizza.html": 1}
    assert open_dataset(str(tmp_path / "out")).manifest.counts["index_rows"] == 1


@pytest.mark.usefixtures("ray_cluster")
def test_those_who_opted_out_are_left_alone_in_archives_too(material, tmp_path):
    archive = material / "warc" / "warc2zim__kiwix-with-redirects.warc.gz"
    (tmp_path / "opt-out.txt").write_text("kiwix.org\n")
    argv = ["--warc", str(archive), "--opt_out", str(tmp_path / "opt-out.txt"), "--output", str(tmp_path / "out")]
    assert web.main(argv) == 0
    assert open_dataset(str(tmp_path / "out")).manifest.drops == {"page_opted_out": 3}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--common_crawl", "x/../y"], "common_crawl is 'x/../y'"),
        (["--common_crawl", "CC-MAIN-2026-30", "--index", "tld = 'is'"], "has 'tld' where a column"),
        (["--common_crawl", "x", "--common_crawl_base", "https://a.org"], "it must end in a slash"),
        (["--sitemap", "file:///x"], "sitemap is 'file:///x'"),
        (["--html_dir", "x", "--html_base", "https://a.org"], "an http or https address that ends in a slash"),
        (["--urls", "x", "--html_base", "https://a.org/"], "html_base needs --html_dir"),
        (["--urls", "x", "--index", "url = 'x'"], "index needs --common_crawl"),
    ],
)
def test_wrong_inputs_are_refused(argv, message, capsys):
    assert web.main([*argv, "--output", "o"]) == 2
    assert message in capsys.readouterr().err
