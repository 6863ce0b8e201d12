"""What the terminal shows while workers train: the driver follows the run's log."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.log import read_log

LOOK_EVERY = 1.0
"""Seconds between looks at the log."""
LINES = 20
"""Lines that a run prints where there is no terminal to draw a bar in."""


@contextmanager
def follow(folder: Path, *, start: int, stop: int) -> Generator[None]:
    """Shows the updates from `start` to `stop` of the run in `folder` for as long as the block runs."""
    ended = threading.Event()
    console = Console()
    show = _draw_bar if console.is_terminal else _print_lines
    thread = threading.Thread(target=show, args=(console, folder, start, stop, ended), name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _draw_bar(console: Console, folder: Path, start: int, stop: int, ended: threading.Event) -> None:
    columns = ("update", MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting workers", total=stop, completed=start)
        while not ended.wait(LOOK_EVERY):
            for record in read_log(folder)[-1:]:
                progress.update(task, completed=record["update"], description=describe(record))


def _print_lines(console: Console, folder: Path, start: int, stop: int, ended: threading.Event) -> None:
    every = max(1, (stop - start) // LINES)
    shown = start
    while not ended.wait(LOOK_EVERY):
        for record in read_log(folder):
            if record["update"] >= shown + every:
                shown = record["update"]
                console.print(f"update {shown}/{stop}  {describe(record)}", soft_wrap=True)


def describe(record: dict[str, Any]) -> str:
    """A record of the log in a few words."""
    losses = "  ".join(f"{name} {loss:.3f}" for name, loss in record["loss"].items())
    return f"loss: {losses}  {record['tokens_per_second']:,.0f} tokens/s"
