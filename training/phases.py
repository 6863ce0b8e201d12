"""What a worker is doing and how long it has been at it: time shares for the log, and an end to standing still."""

import faulthandler
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

STUCK = "stuck.log"
EXIT_CODE = 75


class Phases:
    """The phase that a worker is in, and the seconds that each took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, settle: Callable[[], object] | None = None) -> None:
        """`settle` is called before a phase ends: on a GPU it waits for what was asked for in the phase."""
        self._clock, self._settle = clock, settle
        self._since, self._what, self._update = clock(), "start", 0
        self._seconds = dict[str, float]()

    def enter(self, what: str, update: int | None = None) -> None:
        """Ends the phase before; `update` is the number of the one that is begun."""
        if self._settle:
            self._settle()
        now = self._clock()
        self._seconds[self._what] = self._seconds.get(self._what, 0.0) + now - self._since
        self._since, self._what = now, what
        self._update = self._update if update is None else update

    @property
    def what(self) -> str:
        """The phase that goes on."""
        return self._what

    def take(self) -> dict[str, float]:
        """The seconds of each phase that has ended since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def standing(self) -> tuple[float, str]:
        """Seconds in the phase that goes on, and its description."""
        return self._clock() - self._since, f"in phase {self._what} of update {self._update}"


def watch(module: nn.Module, what: str, phases: Phases) -> None:
    """Makes each forward of the module a phase of its own, behind which the one before it goes on."""
    interrupted = list[str]()

    def begin(*_: object) -> None:
        interrupted.append(phases.what)
        phases.enter(what)

    module.register_forward_pre_hook(begin)
    module.register_forward_hook(lambda *_: phases.enter(interrupted.pop()))


class Watchdog:
    """A thread that ends this process when it has been in one phase for too long, and says in which."""

    def __init__(self, phases: Phases, *, rank: int, seconds: float, output: Path) -> None:
        self._phases, self._rank, self._seconds, self._output = phases, rank, seconds, output
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self._seconds / 4)):
            seconds, where = self._phases.standing()
            if seconds > self._seconds:
                # Not an exception: the main thread may wait in a collective that no signal reaches.
                with (self._output / STUCK).open("a", encoding="utf-8") as file:
                    print(f"rank {self._rank} was {where} for {seconds:.0f} s, and was ended:", file=file, flush=True)
                    faulthandler.dump_traceback(file)
                os._exit(EXIT_CODE)
