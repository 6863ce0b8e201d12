"""Jobs in processes of their own, slow enough to be killed, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from shards.dataset import open_dataset
from shards.document import Document

ROOT = Path(__file__).parents[2]
PATIENCE = 180
"""Seconds after which a test gives up."""


def command(urls: Path, output: Path, *flags: str) -> list[str]:
    """`pipeline.web` over the pages that `urls` names, on loopback."""
    paths = ["--urls", str(urls), "--output", str(output), "--chunk_pages", "2"]
    loopback = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0.1", "--fetch.delay_factor", "0"]
    return [sys.executable, "-m", "pipeline.web", *paths, *loopback, *flags]


def start(argv: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(job: subprocess.Popen[str]) -> str:
    """What the job printed; fails if it did not end well."""
    printed, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == 0, printed
    return printed


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"nothing happened within {PATIENCE} s"
        time.sleep(0.02)


def commits(output: Path) -> list[Path]:
    return list(output.glob("commits/*.json"))


def kill_worker(job: subprocess.Popen[str], title: str) -> int:
    """Kills one Ray worker below `job` whose process title begins with `title`, as soon as there is one."""
    found = list[psutil.Process]()

    def find() -> bool:
        found[:] = [process for process in psutil.Process(job.pid).children(recursive=True) if _is(process, title)]
        return bool(found)

    wait_until(find)
    os.kill(found[0].pid, signal.SIGKILL)
    return found[0].pid


def _is(process: psutil.Process, title: str) -> bool:
    try:
        return " ".join(process.cmdline()).startswith(title)
    except psutil.Error:
        return False  # it ended in between


def documents(output: Path) -> list[Document]:
    return list(open_dataset(str(output)).documents())


def files(output: Path) -> dict[str, bytes]:
    """Every file of a dataset by name."""
    found = (path for path in output.rglob("*") if path.is_file())
    return {str(path.relative_to(output)): path.read_bytes() for path in found}
