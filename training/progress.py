"""What the terminal shows while workers train: the driver follows the run's log."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.log import LOG, read_log_from

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
    thread = threading.Thread(target=show, args=(console, _new_records(folder, ended), start, stop), name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _new_records(folder: Path, ended: threading.Event) -> Iterator[dict[str, Any]]:
    """The records that are added to the log until the event is set, the last ones too; of each update the first.

    Workers that are started again write the log anew up to their checkpoint, and then make updates once more.
    """
    records, offset = read_log_from(folder, 0)
    shown, file = (records[-1]["update"] if records else 0), _identity(folder)
    last_look = False
    while not last_look:
        last_look = ended.wait(LOOK_EVERY)
        if (found := _identity(folder)) != file:
            offset, file = 0, found
        records, offset = read_log_from(folder, offset)
        for record in records:
            if record["update"] > shown:
                shown = record["update"]
                yield record


def _identity(folder: Path) -> int:
    """Another number for each file that takes the log's place; 0 for none."""
    path = folder / LOG
    return path.stat().st_ino if path.exists() else 0


def _draw_bar(console: Console, records: Iterator[dict[str, Any]], start: int, stop: int) -> None:
    columns = ("update", MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting workers", total=stop, completed=start)
        for record in records:
            progress.update(task, completed=record["update"], description=describe(record))
            for note in record.get("notes", ()):
                console.print(note)


def _print_lines(console: Console, records: Iterator[dict[str, Any]], start: int, stop: int) -> None:
    every = max(1, (stop - start) // LINES)
    for record in records:
        for note in record.get("notes", ()):
            console.print(note, soft_wrap=True)
        if (record["update"] - start) % every == 0:
            console.print(f"update {record['update']}/{stop}  {describe(record)}", soft_wrap=True)


def describe(record: dict[str, Any]) -> str:
    """A record of the log in a few words."""
    losses = "  ".join(f"{name} {loss:.3f}" for name, loss in record["loss"].items())
    return f"loss: {losses}  {record['tokens_per_second']:,.0f} tokens/s"
