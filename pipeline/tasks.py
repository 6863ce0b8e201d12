"""Tasks on Ray Data, a row each: tried a bounded number of times, and a full disk is said in one sentence."""

import errno
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import ray.data
from ray.util.annotations import RayDeprecationWarning

from jobs.command import InputError
from shards.location import Location

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says of a write for which there is no room."""


def run_tasks(output: Location, rows: Sequence[dict[str, Any]], task: Callable[[dict[str, Any]], None]) -> None:
    """Runs `task` on each of `rows`, which have an `id`; what a task makes it writes below `output` itself.

    Raises InputError if there is no room left to write to, and what a task raised after it was tried again.
    """
    if not rows:
        return

    @functools.wraps(task)  # Ray shows a task by its function's name
    def attempt(row: dict[str, Any]) -> dict[str, Any]:
        try:
            task(row)
        except OSError as error:
            if error.errno not in FULL:
                raise
            # Said in a row of its own: Ray Data wraps what is raised in so much that the cause is lost.
            return {"failure": f"{error.strerror or error}, while {row['id']} was written"}
        return {"failure": ""}

    # Ray's block is the unit of its progress bar and of its retries; a row a block keeps both honest.
    dataset = ray.data.from_items(list(rows), override_num_blocks=len(rows))
    with warnings.catch_warnings():
        # Ray Data retries for ever by default, and 2.60 has no other way to say how often than one that it deprecates.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        done = dataset.map(attempt, num_cpus=1, max_retries=3).take_all()
    if len(done) != len(rows):
        raise RuntimeError(f"Ray Data returned {len(done)} of {len(rows)} rows")
    if failures := [row["failure"] for row in done if row["failure"]]:
        raise InputError(f"output {output}: {failures[0]}; make room and run the same command again")
