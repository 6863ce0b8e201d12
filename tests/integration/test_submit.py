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
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shards.dataset import open_dataset

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


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


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A head on this machine that asks for a token, apart from the session's cluster."""

    port: int
    dashboard: int
    folder: Path
    environment: dict[str, str]

    def submit(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`ray job submit --working-dir . -- python ARGUMENTS`."""
        address = f"http://127.0.0.1:{self.dashboard}"
        command = [BIN / "ray", "job", "submit", "--address", address, "--working-dir", ".", "--", "python", *argv]
        env = {**self.environment, **environment}
        return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)

    @contextmanager
    def started(self, *command: str | Path) -> Generator[None]:
        """A node, as a process group of its own: `ray stop` would end the session's cluster too."""
        node = subprocess.Popen(
            command,
            env=self.environment,
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(
        port=free_port(),
        dashboard=free_port(),
        folder=Path(tempfile.mkdtemp(prefix="ray-")),
        environment={
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        },
    )
    agent = free_port()  # its usual port may be that of the session's cluster
    ports = (f"--port={made.port}", f"--dashboard-port={made.dashboard}", f"--dashboard-agent-listen-port={agent}")
    head = ("--head", "--block", "--disable-usage-stats", "--num-cpus=2", f"--temp-dir={made.folder}")
    with made.started(BIN / "ray", "start", *head, *ports):
        wait_until_listening(made.dashboard)
        wait_until_listening(agent)
        yield made
    shutil.rmtree(made.folder, ignore_errors=True)


def test_a_wrong_token_is_turned_away(cluster):
    done = cluster.submit("-c", "print('ran')", RAY_AUTH_TOKEN="0" * 64)
    assert done.returncode != 0
    assert "token" in (done.stdout + done.stderr).lower()


def test_a_relative_path_is_refused_with_a_sentence(cluster):
    done = cluster.submit("-m", "pipeline.web", "--start", "http://127.0.0.1:9/", "--output", "data/m3w")
    assert done.returncode != 0
    assert "error: output is 'data/m3w', a relative path, and under `ray job submit`" in done.stdout + done.stderr


@pytest.mark.slow
def test_every_leg_runs_as_a_submitted_job(cluster, site, material, backbones, tmp_path):
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
        done = cluster.submit("-m", module, *argv, "--output", str(tmp_path / output))
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


def test_an_output_that_one_node_does_not_see_is_refused(cluster, tmp_path):
    """The second node has another file system at the place of the output: a mount of its own."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may not make a mount namespace, which gives a node a file system of its own")
    agent = f"--dashboard-agent-listen-port={free_port()}"
    join = f"ray start --address=127.0.0.1:{cluster.port} --block --num-cpus=1 {agent}"
    script = f"mount -t tmpfs none {tmp_path} && exec {join}"
    with cluster.started("unshare", "--mount", "sh", "-c", script):
        until_two = "import ray, time; ray.init()\nwhile len(ray.nodes()) < 2: time.sleep(0.2)"
        assert cluster.submit("-c", until_two).returncode == 0
        output = ["--output", str(tmp_path / "m3w")]
        done = cluster.submit("-m", "pipeline.web", "--start", "http://127.0.0.1:9/", *output)
    assert done.returncode != 0
    assert "is not seen by 1 of 2 nodes" in done.stdout + done.stderr
    assert not (tmp_path / "m3w" / "commits").exists()
