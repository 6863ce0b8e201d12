"""How strangers' containers are opened: by a child process with a deadline and a memory bound, that opens nothing else.

`run_child` is the parent's side, `confine` the child's.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_child(module: str, argument: str, deadline_seconds: float) -> subprocess.CompletedProcess[bytes] | None:
    """What came of `python -m MODULE ARGUMENT`; None if it took longer than `deadline_seconds`, and was killed."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", module, argument],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_seconds,
        )
    except subprocess.TimeoutExpired:
        return None
    return None if child.returncode == -signal.SIGALRM else child  # its own alarm may ring first


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


def _environment() -> dict[str, str]:
    """Finds our packages wherever the job was started, and keeps glibc from mapping 64 MiB for each thread."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"}
