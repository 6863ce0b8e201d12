"""What the terminal shows while workers train: the driver follows the run's log."""

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from training.log import LOG, read_log_from

LOOK_EVERY = 1.0
"""Seconds between looks at the log."""
LINES = 20
"""Lines that a run prints where there is no terminal to draw in."""
OF_DATASETS = {
    "loss": "loss",
    "blind_loss": "blind",
    "shuffled_loss": "shuffled",
    "padding": "padding",
    "epochs": "epochs",
}
"""Measures that a terminal shows of each dataset, and the heads of their columns."""
OF_RUN = ("learning_rate", "gradient_norm", "tokens_per_second", "utilisation", "peak_memory_mb", "peak_gpu_memory_mb")
"""Measures that it shows of the run."""


@contextmanager
def follow(folder: Path, *, start: int, stop: int) -> Generator[None]:
    """Shows the updates from `start` to `stop` of the run in `folder` for as long as the block runs."""
    ended = threading.Event()
    console = Console()
    show = draw_view if console.is_terminal else _print_lines
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


def draw_view(console: Console, records: Iterator[dict[str, Any]], start: int, stop: int) -> None:
    """Draws how far the run is, and the newest of its measures; notes scroll past above."""
    times = "taken", TimeElapsedColumn(), "left", TimeRemainingColumn()
    bar = Progress("update", MofNCompleteColumn(), BarColumn(), *times, console=console)
    task, newest = bar.add_task("", total=stop, completed=start), dict[str, Any]()
    with Live(bar, console=console) as live:
        for record in records:
            newest = renew(newest, record)
            bar.update(task, completed=record["update"])
            live.update(Group(bar, table_of_datasets(newest), line_of_run(newest)))
            for note in record.get("notes", ()):
                console.print(note)


def renew(newest: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The newest of each measure, of which not every update has all; of groups, the newest of each curve."""
    merged = {name: {**newest.get(name, {}), **value} for name, value in record.items() if isinstance(value, Mapping)}
    return {**newest, **record, **merged, "phase_seconds": record.get("phase_seconds", {})}


def table_of_datasets(newest: Mapping[str, Any]) -> Table:
    """A row for each dataset."""
    table = Table("dataset", *OF_DATASETS.values(), box=None)
    for name in newest["loss"]:
        values = [newest.get(measure, {}).get(name) for measure in OF_DATASETS]
        table.add_row(name, *("-" if value is None else f"{value:.3f}" for value in values))
    return table


def line_of_run(newest: Mapping[str, Any]) -> str:
    """The run's own measures, and where an update's time goes."""
    measures = [f"{name.replace('_', ' ')} {newest[name]:,.4g}" for name in OF_RUN if name in newest]
    phases = sorted(newest["phase_seconds"].items(), key=lambda phase: -phase[1])
    total = sum(seconds for _, seconds in phases) or 1.0
    shares = [f"{name} {seconds / total:.0%}" for name, seconds in phases if seconds / total >= 0.005]
    return "\n".join(["   ".join(measures), "   ".join(["time:", *shares])])


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
