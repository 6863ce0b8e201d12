"""Careful mode: calls that may crash in native code run in a child process, which dies in this one's place.

    with careful_calls() as call:
        page = call(extract, data, url, content_type)

One child answers call after call, for as long as it lives. A call that it dies of is tried once more in a fresh one,
for the damage may have been done by an earlier call; if that one dies too, the call raises Crashed. What passes
between the two processes is pickled by `multiprocessing`: values of our own, made by our own code.
"""

import os
import resource
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar, TypeVarTuple

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")
TRIES = 2
SPAWN = get_context("spawn")
"""A fork would copy the locks that this process's threads hold."""


class Crashed(Exception):
    """A call whose process died, or did not answer in time, on each try."""

    reason = "crashed"


class CarefulCalls:
    """Runs calls one at a time in a child process; made by `careful_calls`, for use on any thread."""

    def __init__(self, deadline_seconds: float, memory_bytes: int) -> None:
        self._deadline_seconds = deadline_seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._child: tuple[SpawnProcess, Connection] | None = None

    def __call__(self, function: Callable[[*Arguments], Value], *arguments: *Arguments) -> Value:
        """What `function` returns or raises. Raises Crashed if it killed its process `TRIES` times."""
        with self._lock:
            for _ in range(TRIES):
                try:
                    answered, outcome = self._ask(function, arguments)
                except (EOFError, OSError):
                    self.end_child()
                    continue
                if answered:
                    return outcome
                raise outcome
        raise Crashed(f"{function.__name__} killed {TRIES} processes, or let {self._deadline_seconds} s pass in them")

    def end_child(self) -> None:
        """Kills the child, if there is one; the next call gets another."""
        if self._child:
            process, connection = self._child
            process.kill()
            process.join()
            connection.close()
            self._child = None

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        """Whether the call returned, and what it returned or raised. Raises EOFError or OSError if the child died."""
        _, connection = self._child = self._child or self._start_child()
        connection.send((function, arguments))
        if not connection.poll(self._deadline_seconds):
            raise TimeoutError
        return connection.recv()

    def _start_child(self) -> tuple[SpawnProcess, Connection]:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_serve, args=(theirs, self._memory_bytes), name="careful", daemon=True)
        process.start()
        theirs.close()  # so that reading from ours ends when the child does
        return process, ours


@contextmanager
def careful_calls(*, deadline_seconds: float = 120.0, memory_bytes: int = 8_000_000_000) -> Generator[CarefulCalls]:
    """Careful calls that may take `deadline_seconds` each, in a process that may map `memory_bytes`."""
    calls = CarefulCalls(deadline_seconds, memory_bytes)
    try:
        yield calls
    finally:
        calls.end_child()


def _serve(connection: Connection, memory_bytes: int) -> None:
    """Answers calls until there is nobody to answer."""
    _confine(memory_bytes)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        connection.send(_outcome(function, arguments))


def _confine(memory_bytes: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (bound, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*arguments)
    except MemoryError:
        os._exit(1)  # a call that the memory does not suffice for counts as a death
    except Exception as error:
        return False, error
