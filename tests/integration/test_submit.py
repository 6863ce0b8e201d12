"""The same commands under `ray job submit`, against a cluster of this machine that asks for a token."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shards.dataset import open_dataset

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
Submit = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(port: int, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"nothing listens on port {port} after {seconds} s")


@pytest.fixture(scope="module")
def submit() -> Iterator[Submit]:
    """`ray job submit --working-dir . -- python ARGUMENTS` on a cluster of its own, with the right token or another."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    port, dashboard = free_port(), free_port()
    token = secrets.token_hex(32)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
    }
    # Not `ray stop`, which would end the session's cluster too: the head and its children are one process group.
    head = subprocess.Popen(
        [
            BIN / "ray",
            *("start", "--head", "--block", "--disable-usage-stats", "--num-cpus=2"),
            *(f"--port={port}", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"),
        ],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until_listening(dashboard)

    def run(*argv: str, token: str = token) -> subprocess.CompletedProcess[str]:
        address = f"http://127.0.0.1:{dashboard}"
        command = [BIN / "ray", "job", "submit", "--address", address, "--working-dir", ".", "--", "python", *argv]
        env = {**environment, "RAY_AUTH_TOKEN": token}
        return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)

    yield run
    os.killpg(head.pid, signal.SIGKILL)
    head.wait()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_wrong_token_is_turned_away(submit, tmp_path):
    done = submit("-c", "print('ran')", token="0" * 64)
    assert done.returncode != 0
    assert "token" in (done.stdout + done.stderr).lower()


def test_a_relative_path_is_refused_with_a_sentence(submit):
    done = submit("-m", "pipeline.web", "--start", "http://127.0.0.1:9/", "--output", "data/m3w")
    assert done.returncode != 0
    assert "error: output is 'data/m3w', a relative path, and under `ray job submit`" in done.stdout + done.stderr


def test_every_leg_runs_as_a_submitted_job(submit, site, material, backbones, tmp_path):
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    site.file("/pizza.webp", photograph, "image/webp")
    site.page("/", "<p>A pan pizza, seen from above.</p><img src=pizza.webp><a href=/more>more</a>")
    site.page("/more", "<p>The same pan pizza, seen once more.</p><img src=pizza.webp>")
    (tmp_path / "pairs.csv").write_text(f"url,caption\n{site.url}/pizza.webp,A pan pizza.\n")
    (tmp_path / "clips").mkdir()
    shutil.copy(material / "videos" / "cockatoo.mp4", tmp_path / "clips" / "bird.mp4")
    (tmp_path / "clips" / "bird.txt").write_text("A bird, seen from the side.")
    loopback = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]

    def job(module: str, *argv: str, output: str) -> str:
        done = submit("-m", module, *argv, "--output", str(tmp_path / output))
        assert done.returncode == 0, done.stdout + done.stderr
        return str(tmp_path / output)

    web = job("pipeline.web", "--start", f"{site.url}/", "--follow", *loopback, output="m3w")
    pairs = job("pipeline.pairs", "--input", str(tmp_path / "pairs.csv"), *loopback, output="pairs")
    video = job("pipeline.video", "--input", str(tmp_path / "clips"), output="videos")
    assert [open_dataset(uri).manifest.documents for uri in (web, pairs, video)] == [2, 1, 1]

    kinds = {"m3w": "interleaved", "pairs": "pair", "videos": "video"}
    mixture = {name: {"uri": str(tmp_path / name), "kind": kind, "batch": 2} for name, kind in kinds.items()}
    flags = backbones(["A pan pizza, seen from above.", "A bird, seen from the side."])
    run = job("training.run", "--datasets", json.dumps(mixture), "--updates", "2", *flags, output="run")
    assert (Path(run) / "adapters" / "adapters.safetensors").exists()
