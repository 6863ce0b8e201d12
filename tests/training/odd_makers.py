"""Makers of samples that are slow, or kill their process, for decoders that import them from here."""

import os
import signal
import time
from dataclasses import dataclass, fields
from pathlib import Path

from training.data.appearance import Pixels
from training.data.maker import Made, SampleMaker
from training.data.source import Request


@dataclass(frozen=True, kw_only=True)
class OddMaker(SampleMaker):
    """Does as the maker it is made of, with something before it."""

    @classmethod
    def of(cls, maker: SampleMaker, **settings):
        return cls(**{field.name: getattr(maker, field.name) for field in fields(SampleMaker)}, **settings)


@dataclass(frozen=True, kw_only=True)
class SlowMaker(OddMaker):
    """Takes up to 20 ms more, differently long for each sample and process."""

    def make(self, request: Request, pixels: Pixels) -> Made:
        time.sleep((request.offset // 512 * 7 + os.getpid()) % 20 / 1000)
        return SampleMaker.make(self, request, pixels)


@dataclass(frozen=True, kw_only=True)
class DeadlyMaker(OddMaker):
    """Kills its process at the document at `offset`, the first `times` times."""

    offset: int
    times: int
    marks: Path
    """Folder with a file for each death."""

    def make(self, request: Request, pixels: Pixels) -> Made:
        deaths = len(list(self.marks.iterdir()))
        if request.offset == self.offset and deaths < self.times:
            (self.marks / str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return SampleMaker.make(self, request, pixels)


@dataclass(frozen=True, kw_only=True)
class FaultyMaker(OddMaker):
    """Has a fault of its own."""

    def make(self, request: Request, pixels: Pixels) -> Made:
        raise KeyError("a fault of our own")
