"""One writer for one output: a lock that lives as long as the process that took it, and dies with it."""

import fcntl
import os
from pathlib import Path

from shards.errors import DatasetError
from shards.location import Location

WRITER = ".writer"
"""The file that is locked; it stays empty, so that a second run changes nothing."""


def claim(folder: Location) -> None:
    """Makes this process the only one that writes to `folder`, until it ends, even by a signal that cannot be caught.

    A process may claim a folder again. The lock is POSIX's, which shared disks know too; an object store has none, and
    nothing is claimed there. Raises DatasetError if another process holds the folder.
    """
    if not folder.is_local:
        return
    path = Path(folder.path, WRITER)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # never closed: closing it would end the lock
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise DatasetError(
            f"{folder} is being written by another process; wait until it ends, or give another folder"
        ) from None
