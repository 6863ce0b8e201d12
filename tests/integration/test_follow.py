"""Following links: the same pages whoever answers first, within depth, prefixes and limits; a picture comes once."""

import random
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline import web
from shards.dataset import open_dataset

FLAGS = [
    "--chunk_pages",
    "3",
    "--allow-network",
    "127.0.0.0/8",
    "--fetch.delay_seconds",
    "0",
    "--fetch.delay_factor",
    "0",
]


@pytest.fixture
def start(site, material: Path) -> str:
    """A site of 40 pages, three levels deep, that all show one picture; the address of its first page."""
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    site.file("/p.webp", photograph, "image/webp")
    links = {"/": [f"/{folder}/{n}" for folder in ("blog", "shop") for n in range(3)]}
    for parent in links["/"]:
        links[parent] = [f"{parent}/{n}" for n in range(3)] + ["/", "/blog/0"]
    for parent in [child for children in links.values() for child in children]:
        links.setdefault(parent, [])
    for page in [page for page, children in links.items() if not children][:15]:
        links[page] = [f"{page}/deep"]
        links[f"{page}/deep"] = []
    for page, targets in links.items():
        anchors = "".join(f"<a href={target}>on</a>" for target in targets)
        site.page(page, f"<p>The page {page} speaks of a picture.</p><img src=/p.webp>{anchors}")
    return f"{site.url}/"


def crawl(start: str, output: Path, *flags: str) -> list[str]:
    """The paths of the pages that became documents, sorted."""
    assert web.main(["--start", start, "--follow", "--output", str(output), *flags, *FLAGS]) == 0
    return sorted(document.source.removeprefix(start) for document in open_dataset(str(output)).documents())


@pytest.mark.usefixtures("ray_cluster")
def test_a_limit_takes_the_same_pages_whoever_answers_first(site, start, tmp_path):
    answer, seed = site.answer, random.Random(4)

    def answer_at_random(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seed.uniform(0, 0.1))
        answer(handler)

    site.answer = answer_at_random
    first = crawl(start, tmp_path / "first", "--limit", "12")
    assert len(first) == 12
    assert crawl(start, tmp_path / "second", "--limit", "12") == first
    assert site.requests.count("/p.webp") == 2, "once a run, though six chunks name it"
    site.requests.clear()
    everything = crawl(start, tmp_path / "first")
    assert len(everything) == 1 + 6 + 18 + 15
    assert set(first) <= set(everything)
    assert site.requests.count("/blog/0") == 0, "what is committed is not fetched again"


@pytest.mark.usefixtures("ray_cluster")
def test_depth_and_prefixes_bound_the_crawl(site, start, tmp_path):
    assert crawl(start, tmp_path / "near", "--max_depth", "1") == sorted(
        ["", *(f"{folder}/{n}" for folder in ("blog", "shop") for n in range(3))]
    )
    blog = crawl(start, tmp_path / "blog", "--within", f"{site.url}/blog/,{site.url}/shop/2/")
    assert all(page == "" or f"{page}/".startswith(("blog/", "shop/2/")) for page in blog)
    assert sum(page.startswith("blog/") for page in blog) >= 12
