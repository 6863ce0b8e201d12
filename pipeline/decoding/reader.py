"""What the two decoders have in common."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol, TypeVar

from PIL import Image

from pipeline.decoding.timeline import Timed

Item = TypeVar("Item")


class Break(Exception):
    """The file cannot be read beyond this point."""


class Reader(Protocol[Item]):
    """A video opened by one of the decoders."""

    broken: str
    """Why reading ended before the end of the file; empty if it did not."""

    def timeline(self) -> Iterator[Timed[Item]]:
        """The frames, or names for them, in order of presentation."""
        ...

    def picture(self, item: Item) -> Image.Image:
        """The frame upright, in square pixels, at the size asked for; raises Break."""
        ...

    def duration(self) -> Fraction:
        """Seconds from the first displayed frame to the end of the last; asked once `timeline` has been read."""
        ...
