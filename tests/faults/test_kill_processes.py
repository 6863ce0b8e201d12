"""Workers, drivers and actors that are killed: the run, or the next one, ends as an undisturbed one."""

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jobs_to_kill import command, commits, documents, files, finish, kill_worker, start, wait_until

PAGES = 20


@dataclass
class World:
    """Pages on loopback, what was asked of them, and what an undisturbed job makes of them."""

    urls: Path
    requests: list[str]
    dataset: dict[str, bytes]


@pytest.fixture(scope="module")
def world(material, tmp_path_factory) -> Iterator[World]:
    folder, requests = tmp_path_factory.mktemp("world"), list[str]()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args, **options) -> None:
            super().__init__(*args, directory=str(folder), **options)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            requests.append(self.path)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    for name in ("shared", *range(PAGES)):
        (folder / f"{name}.webp").write_bytes(photograph)
    for n in range(PAGES):
        page = f"<p>Page number {n} speaks of pictures.</p><img src={n}.webp><img src=shared.webp>"
        (folder / f"{n}.html").write_text(page)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        urls = folder / "urls.txt"
        urls.write_text("".join(f"http://127.0.0.1:{port}/{n}.html\n" for n in range(PAGES)))
        finish(start(command(urls, folder / "out")))
        yield World(urls=urls, requests=requests, dataset=files(folder / "out"))
        server.shutdown()


def test_a_killed_worker_is_replaced(world, tmp_path):
    job = start(command(world.urls, tmp_path / "out"))
    wait_until(lambda: len(commits(tmp_path / "out")) >= 2)
    kill_worker(job, "ray::Map(gather)")
    finish(job)
    assert files(tmp_path / "out") == world.dataset
    assert len(documents(tmp_path / "out")) == PAGES


def test_a_killed_driver_is_run_again_and_fetches_nothing_twice(world, tmp_path):
    world.requests.clear()
    job = start(command(world.urls, tmp_path / "out"))
    wait_until(lambda: len(commits(tmp_path / "out")) >= 3)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    standing = len(commits(tmp_path / "out"))
    assert 3 <= standing < PAGES / 2
    finish(start(command(world.urls, tmp_path / "out")))
    assert files(tmp_path / "out") == world.dataset
    asked = Counter(world.requests)
    del asked["/robots.txt"]
    assert set(asked) >= {f"/{n}.webp" for n in range(PAGES)}
    assert sum(asked.values()) <= 2 * PAGES + 1 + 4, "only what was under way at the kill is fetched again"


@pytest.mark.slow
def test_a_killed_fetching_actor_is_started_again(world, tmp_path):
    job = start(command(world.urls, tmp_path / "out"))
    wait_until(lambda: len(commits(tmp_path / "out")) >= 2)
    kill_worker(job, "ray::HostFetcher")
    finish(job)
    assert files(tmp_path / "out") == world.dataset


@pytest.mark.slow
def test_a_full_disk_is_said_in_a_sentence_and_the_rerun_goes_on(world, tmp_path):
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may not make a mount namespace, which gives the test a small disk of its own")
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    run = " ".join(command(world.urls, disk / "out"))
    script = f"""
        mount -t tmpfs -o size=800k none {disk}
        {run}
        echo "ended with $?"
        mount -o remount,size=100m {disk}
        {run} && cp -r {disk}/out {copy}
    """
    printed = finish(start(["unshare", "--mount", "sh", "-c", script]))
    assert "ended with 2" in printed, printed
    said = printed.partition("ended with 2")[0].strip().splitlines()[-1]
    assert said.startswith(f"error: output {disk}/out: No space left on device")
    assert files(copy) == world.dataset
