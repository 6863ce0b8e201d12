"""Runs over archives, killed while the archives are read or worked on: the next run ends as an undisturbed one."""

import gzip
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from jobs_to_kill import commits, documents, files, finish, kill_worker, start, wait_until

pytestmark = pytest.mark.slow  # test_kill_processes.py kills a worker and a driver in every run
ARCHIVES = 12
PAGES = 3
"""Pages of each archive."""
FILM = 60_000_000
"""Bytes of a record that keeps the pass over an archive busy for a moment."""


def record(url: str, content_type: str, body: bytes) -> bytes:
    block = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode() + body
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n", 1)


@dataclass
class World:
    """Archives, and what an undisturbed job makes of them."""

    argv: list[str]
    dataset: dict[str, bytes]


def command(argv: list[str], output: Path) -> list[str]:
    return [*argv, "--output", str(output)]


def indexes(output: Path) -> list[Path]:
    return [path for path in output.glob("index/*.parquet") if not path.name.startswith((".", "together"))]


@pytest.fixture(scope="module")
def world(material, tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    film = record("http://a.org/film", "video/mp4", bytes(FILM))
    for number in range(ARCHIVES):
        archive = record(f"http://a.org/{number}.webp", "image/webp", photograph) + film
        for page in range(PAGES):
            text = f"<p>Page {page} of archive {number} speaks of a picture.</p><img src=/{number}.webp>"
            archive += record(f"http://a.org/{number}/{page}", "text/html", text.encode())
        (folder / f"{number:02d}.warc.gz").write_bytes(archive[:-9] if number == 5 else archive)
    argv = [sys.executable, "-m", "pipeline.web", "--warc", str(folder / "*.warc.gz"), "--chunk_pages", "2"]
    finish(start(command(argv, folder / "out")))
    return World(argv=argv, dataset=files(folder / "out"))


def test_the_undisturbed_run_is_whole(world, tmp_path):
    for name, data in world.dataset.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert len(documents(tmp_path)) == ARCHIVES * PAGES - 1  # the last page of one archive is cut


def test_a_worker_killed_over_an_archive_is_replaced(world, tmp_path):
    job = start(command(world.argv, tmp_path / "out"))
    kill_worker(job, "ray::_make_index")
    finish(job)
    assert files(tmp_path / "out") == world.dataset


def test_a_driver_killed_over_the_archives_is_run_again_and_reads_none_twice(world, tmp_path):
    job = start(command(world.argv, tmp_path / "out"))
    wait_until(lambda: len(indexes(tmp_path / "out")) >= 2)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    standing = {path: path.stat().st_mtime_ns for path in indexes(tmp_path / "out")}
    assert 2 <= len(standing) < ARCHIVES
    finish(start(command(world.argv, tmp_path / "out")))
    assert files(tmp_path / "out") == world.dataset
    assert {path: path.stat().st_mtime_ns for path in standing} == standing


def test_a_driver_killed_over_the_pages_is_run_again(world, tmp_path):
    job = start(command(world.argv, tmp_path / "out"))
    wait_until(lambda: len(commits(tmp_path / "out")) >= 3)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert len(commits(tmp_path / "out")) < ARCHIVES * 2
    finish(start(command(world.argv, tmp_path / "out")))
    assert files(tmp_path / "out") == world.dataset
