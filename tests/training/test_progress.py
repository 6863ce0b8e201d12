"""What the driver makes of a log that workers write, and write anew."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

from training.log import RunLog, trim_log
from training.progress import _new_records


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
