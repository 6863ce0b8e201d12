"""DeepSpeed's `async_io`, which reads and writes the files of `offload`: compiled on each machine when first used."""

import fcntl
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from deepspeed.accelerator import get_accelerator
from deepspeed.ops.op_builder.builder import OpBuilder
from torch.utils.cpp_extension import _get_build_directory

from jobs.command import InputError

PARTS = ("pin_memory", "async_io")
"""What is compiled, each in a folder of its own."""
PATIENCE_SECONDS = 10.0
"""Before a compilation is spoken of."""


def load_async_io() -> None:
    """Loads it into this process, and compiles it before if no process of this machine has.

    Raises InputError where it cannot be compiled, or where it seems to be compiled by another program: torch would wait
    for that without end, also if that program was killed.
    """
    builder = _builder()
    if builder is None or not can_use_files():
        raise InputError(
            "offload to nvme needs DeepSpeed's async_io, which cannot be compiled here: install libaio's headers "
            "(Debian's libaio-dev) and a compiler on every node, or choose cpu"
        )
    folders = [Path(_get_build_directory(part, verbose=False)) for part in PARTS]
    with _turn(folders[-1] / "turn"):
        for lock in (folder / "lock" for folder in folders):
            if lock.exists():
                raise InputError(
                    f"{lock} is there: another program compiles DeepSpeed's async_io, or was killed while it did; "
                    "delete that file if none does, and run again"
                )
        with _said_if_slow("compiling DeepSpeed's async_io takes minutes, once on each machine for an environment"):
            builder.load(verbose=False)


def can_use_files() -> bool:
    """Whether `async_io` can be compiled on this machine."""
    builder = _builder()
    return builder is not None and builder.is_compatible(verbose=False)


def _builder() -> OpBuilder | None:
    accelerator = get_accelerator()
    return accelerator and accelerator.create_op_builder("AsyncIOBuilder")


@contextmanager
def _said_if_slow(sentence: str) -> Generator[None]:
    """Warns of what takes longer than `PATIENCE_SECONDS`: what is compiled already loads in one."""
    timer = Timer(PATIENCE_SECONDS, logging.getLogger(__name__).warning, [sentence])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _turn(file: Path) -> Generator[None]:
    """One process after the other; a turn ends with its process, however that ends."""
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
