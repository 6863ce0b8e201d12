"""`--retry-failed` on a site that was not well: what failed is asked for again, and the dataset becomes whole."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline import web
from shards.dataset import open_dataset

FLAGS = ["--chunk_pages", "2", "--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0", "--fetch.retries", "0"]
UNWELL = (503, {"Retry-After": "0"}, b"later")


@pytest.fixture
def photograph(material: Path) -> bytes:
    return (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()


def sources(output: Path) -> list[str]:
    return [Path(document.source).name for document in open_dataset(str(output)).documents()]


@pytest.mark.usefixtures("ray_cluster")
def test_only_what_failed_is_asked_for_again(site, photograph, tmp_path, capsys):
    for n in range(6):
        site.file(f"/{n}.webp", photograph, "image/webp")
        site.page(f"/{n}.html", f"<p>Page number {n} speaks of a picture.</p><img src={n}.webp>")
    well = dict(site.answers)
    site.answers |= {"/1.webp": UNWELL, "/4.html": UNWELL, "/5.html": (404, {}, b"")}
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"{site.url}/{n}.html\n" for n in range(6)))
    argv = ["--urls", str(urls), "--output", str(tmp_path / "out"), *FLAGS]
    assert web.main(argv) == 0
    assert "note: 2 of these failures may pass: run again with --retry-failed" in capsys.readouterr().out
    assert sources(tmp_path / "out") == ["0.html", "2.html", "3.html"]
    assert open_dataset(str(tmp_path / "out")).manifest.drops == {
        "image_http_503": 1,
        "page_http_404": 1,
        "page_http_503": 1,
        "page_images_dropped": 1,
    }

    site.answers |= {path: well[path] for path in ("/1.webp", "/4.html")}
    site.requests.clear()
    assert web.main([*argv, "--retry-failed"]) == 0
    assert sources(tmp_path / "out") == ["0.html", "1.html", "2.html", "3.html", "4.html"]
    assert set(site.requests) == {"/robots.txt", "/1.html", "/1.webp", "/4.html", "/4.webp"}
    manifest = open_dataset(str(tmp_path / "out")).manifest
    assert manifest.drops == {"page_http_404": 1}
    assert manifest.counts == {"documents": 5, "images": 5, "pages": 6}
    commits = [json.loads(path.read_text()) for path in sorted((tmp_path / "out" / "commits").iterdir())]
    assert [commit["generation"] for commit in commits] == [1, 0, 1]
    shards = sorted(path.stem for path in (tmp_path / "out").glob("*.tar"))
    assert shards == sorted(shard["name"] for commit in commits for shard in commit["shards"])
    assert len(list((tmp_path / "out" / "ledger").iterdir())) == 3

    site.requests.clear()
    assert web.main([*argv, "--retry-failed"]) == 0
    assert site.requests == [], "nothing failed that may pass another time"


@pytest.mark.usefixtures("ray_cluster")
def test_links_that_come_late_change_no_chunk_that_stands(site, photograph, tmp_path):
    site.file("/p.webp", photograph, "image/webp")
    links = {"index": "abc", "a": "xyz", "b": "", "c": "z", "x": "", "y": "", "z": "", "d": "e", "e": ""}
    for name, targets in links.items():
        anchors = "".join(f"<a href={target}.html>on</a>" for target in targets)
        site.page(f"/{name}.html", f"<p>The page {name} speaks of a picture.</p><img src=p.webp>{anchors}")
    site.page("/b.html", "<p>The page b speaks of a picture.</p><img src=p.webp><a href=d.html>on</a>")
    well = dict(site.answers)
    site.answers["/b.html"] = UNWELL
    argv = ["--start", f"{site.url}/index.html", "--follow", "--output", str(tmp_path / "out"), *FLAGS]
    assert web.main(argv) == 0
    assert sorted(sources(tmp_path / "out")) == sorted(f"{name}.html" for name in ("index", *"acxyz"))
    standing = {path.name for path in (tmp_path / "out" / "commits").iterdir()}

    site.answers |= well
    site.requests.clear()
    assert web.main([*argv, "--retry-failed"]) == 0
    assert sorted(sources(tmp_path / "out")) == sorted(f"{name}.html" for name in links)
    assert {path.name for path in (tmp_path / "out" / "commits").iterdir()} >= standing
    assert set(site.requests) == {"/robots.txt", "/b.html", "/d.html", "/e.html", "/p.webp"}


@pytest.mark.usefixtures("ray_cluster")
def test_a_host_that_is_too_slow_holds_no_chunk_open_and_is_asked_again(site, serve_folder, photograph, tmp_path):
    quick, woken = tmp_path / "quick", threading.Event()
    quick.mkdir()
    for n in range(4):
        (quick / f"{n}.html").write_text(f"<p>Page number {n} speaks of a picture.</p><img src=p.webp>")
        site.page(f"/slow-{n}.html", f"<p>The slow page {n} speaks of a picture.</p><img src=p.webp>")
    (quick / "p.webp").write_bytes(photograph)
    site.file("/p.webp", photograph, "image/webp")
    answer = site.answer

    def answer_late(handler: BaseHTTPRequestHandler) -> None:
        if not woken.wait(timeout=120):
            raise TimeoutError("the test never woke its server")
        answer(handler)

    site.answer = answer_late
    address = serve_folder(quick)
    lines = [f"{address}/{n}.html\n{site.url}/slow-{n}.html\n" for n in range(4)]
    (tmp_path / "urls.txt").write_text("".join(lines))
    argv = ["--urls", str(tmp_path / "urls.txt"), "--output", str(tmp_path / "out"), *FLAGS, "--chunk_pages", "8"]
    started = time.monotonic()
    assert web.main([*argv, "--chunk_seconds", "5"]) == 0
    assert time.monotonic() - started < 60
    assert sources(tmp_path / "out") == [f"{n}.html" for n in range(4)]
    assert open_dataset(str(tmp_path / "out")).manifest.drops == {"page_deferred": 4}

    woken.set()
    assert web.main([*argv, "--retry-failed"]) == 0
    assert sources(tmp_path / "out") == [name for n in range(4) for name in (f"{n}.html", f"slow-{n}.html")]
    assert open_dataset(str(tmp_path / "out")).manifest.drops == {}
