"""The peak memory of a program with all the processes that it starts."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import psutil

SECONDS_BETWEEN_LOOKS = 0.5


class Peak:
    """The largest sum of resident memory seen so far, in bytes; what processes share counts in each."""

    def __init__(self) -> None:
        self.bytes = 0

    def look(self) -> None:
        root = psutil.Process()
        self.bytes = max(self.bytes, sum(map(_resident, [root, *root.children(recursive=True)])))


@contextmanager
def watching_memory() -> Generator[Peak]:
    """Looks at this process and its descendants twice a second while the block runs."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            peak.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
