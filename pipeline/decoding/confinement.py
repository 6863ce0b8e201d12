"""How strangers' containers are opened: by a child with a deadline and a memory bound, which opens nothing else.

    run_child ──► fork server (one for each caller at a time, libraries imported) ──► a fork of it for each file
        ▲                                                                                    │
        └───────────────────────────── what it said, by a pipe ──────────────────────────────┘

`run_child` is the parent's side, `confine` the child's; `fork_server` stands between them, so that Python and FFmpeg
are loaded once and not for each file.
"""

import atexit
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkServer:
    """A running `pipeline.decoding.fork_server`; it ends when `line` is closed."""

    process: "subprocess.Popen[bytes]"
    line: socket.socket

    def stop(self) -> None:
        self.line.close()
        self.process.wait()


_idle: list[ForkServer] = []
"""Servers of this process that nobody waits for: a thread takes one for a file and brings it back."""


def run_child(module: str, argument: str, deadline_seconds: float) -> "subprocess.CompletedProcess[bytes] | None":
    """What came of `main` of `pipeline.decoding.MODULE`, run as by `python -m MODULE ARGUMENT` in a child of its own.

    None if it took longer than `deadline_seconds`, and was killed.
    """
    until = time.monotonic() + deadline_seconds
    server = _idle.pop() if _idle else _start()
    with tempfile.TemporaryFile() as errors:
        pipe, end = os.pipe()
        try:
            said, status = _ask(server, json.dumps([module, argument]), (pipe, end, errors.fileno()), until)
        except OSError as error:  # the server itself was killed
            server.stop()
            return subprocess.CompletedProcess(module, 1, b"", f"the fork server ended: {error}".encode())
        finally:
            os.close(pipe)
        _idle.append(server)
        if said is None or status == -signal.SIGALRM:  # the child's own alarm may ring first
            return None
        errors.seek(0)
        return subprocess.CompletedProcess(module, status, said, errors.read())


def confine(memory_bytes: int, deadline_seconds: float) -> None:
    """Bounds memory and time, and forbids to open files and sockets: what a container refers to stays closed.

    Called once the libraries are imported and the file is open. The alarm is for a child whose parent was killed.
    """
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (bound, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, deadline_seconds)


def stop_servers() -> None:
    """Ends this process's fork servers; the next file starts one anew."""
    while _idle:
        _idle.pop().stop()


def _start() -> ForkServer:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipeline.decoding.fork_server"],
            env=_environment(),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C reaches the job, which ends it
        )
    return ForkServer(process=process, line=ours)


def _ask(server: ForkServer, order: str, files: tuple[int, int, int], until: float) -> tuple[bytes | None, int]:
    """What the child said, None if it was late, and its exit status. Raises OSError if there is no server any more.

    `files` are both ends of the pipe for what the child says, and what it is to write errors to.
    """
    pipe, end, errors = files
    try:
        socket.send_fds(server.line, [order.encode() + b"\n"], [end, errors])
    finally:
        os.close(end)
    said = _read(pipe, until)
    server.line.sendall(b"\n")  # the child has ended, or shall
    with server.line.makefile("rb") as reply:
        status = reply.readline()
    if not status:
        raise ConnectionError("it closed the line")
    return said, int(status)


def _read(pipe: int, until: float) -> bytes | None:
    """All that is written to `pipe` before its last writer ends; None if that does not happen in time."""
    ready = select.poll()
    ready.register(pipe, select.POLLIN | select.POLLHUP)
    pieces: list[bytes] = []
    while ready.poll(max(0, until - time.monotonic()) * 1000):
        pieces.append(os.read(pipe, READ_BYTES))
        if not pieces[-1]:
            return b"".join(pieces)
    return None


def _environment() -> dict[str, str]:
    """Finds our packages wherever the job was started, and keeps glibc from mapping 64 MiB for each thread."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"}


atexit.register(stop_servers)
os.register_at_fork(after_in_child=_idle.clear)  # a fork of this process must not speak on its parent's lines
