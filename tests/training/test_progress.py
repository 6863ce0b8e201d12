"""What the driver makes of a log that workers write, and write anew."""

import io
from collections.abc import Callable
from pathlib import Path
from threading import Event

from rich.console import Console

from training.log import RunLog, trim_log
from training.progress import _new_records, draw_view, renew


class Looks(Event):
    """An event that is set after the last of several things have been done, one before each look."""

    def __init__(self, *actions: Callable[[], None]) -> None:
        super().__init__()
        self._actions = list(actions)

    def wait(self, timeout: float | None = None) -> bool:
        self._actions.pop(0)()
        return not self._actions


def test_updates_that_are_made_once_more_are_shown_once(tmp_path: Path):
    def write(*updates: int) -> None:
        log = RunLog(tmp_path, update=0)
        for update in updates:
            log.write({"update": update, "loss": {"pages": 1.0 / update}})
        log.close()

    def begin_anew() -> None:
        trim_log(tmp_path, 4)
        write(5, 6, 7, 8)

    write(1, 2)
    looks = Looks(lambda: write(3, 4, 5, 6), begin_anew, lambda: write(9))

    assert [record["update"] for record in _new_records(tmp_path, looks)] == [3, 4, 5, 6, 7, 8, 9]


FIRST = {
    "update": 1,
    "loss": {"pages": 3.5, "pairs": 2.25},
    "blind_loss": {"pages": 3.75},
    "learning_rate": 0.001,
    "phase_seconds": {"forward": 3.0, "backward": 1.0},
    "notes": ["pairs begins again"],
}
SECOND = {"update": 2, "loss": {"pages": 3.25}, "learning_rate": 0.002, "phase_seconds": {"forward": 1.0, "data": 1.0}}


def test_of_each_measure_the_newest_is_kept():
    newest = renew(renew({}, FIRST), SECOND)

    assert newest["loss"] == {"pages": 3.25, "pairs": 2.25}
    assert newest["blind_loss"] == {"pages": 3.75}
    assert newest["learning_rate"] == 0.002
    assert newest["phase_seconds"] == {"forward": 1.0, "data": 1.0}


def test_a_terminal_shows_progress_losses_and_where_time_goes():
    console = Console(force_terminal=True, width=120, record=True, file=io.StringIO())
    draw_view(console, iter([FIRST, SECOND]), start=0, stop=8)
    text = console.export_text()
    lines = [line.split() for line in text.splitlines()]

    assert "pairs begins again" in text
    assert "update 2/8" in text
    assert ["pages", "3.250", "3.750", "-", "-", "-"] in lines
    assert ["pairs", "2.250", "-", "-", "-", "-"] in lines
    assert ["learning", "rate", "0.002"] in lines
    assert ["time:", "forward", "50%", "data", "50%"] in lines
