"""Which frame is shown when: no decoder and no pixels here, only exact arithmetic on presentation times."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

OUT_OF_ORDER_FRAMES = 4  # held back to sort out the stamps of broken muxers; the worst seen is 1

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed(Generic[Item]):
    """Something shown from `start` to `end`, in seconds of the stream's own clock."""

    start: Fraction
    end: Fraction
    item: Item


def in_order(timeline: Iterable[Timed[Item]]) -> Iterator[Timed[Item]]:
    """The same by start: a decoder's output is in that order already, but for the stamps of broken muxers."""
    waiting: list[tuple[Fraction, int, Timed[Item]]] = []
    for number, timed in enumerate(timeline):
        heapq.heappush(waiting, (timed.start, number, timed))
        if len(waiting) > OUT_OF_ORDER_FRAMES:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def shown_at(timeline: Iterator[Timed[Item]], frames_per_second: Fraction) -> Iterator[tuple[Fraction, Item]]:
    """For each instant 0, 1/f, 2/f, ... s after the first start, up to the end: the last item started by then.

    There is always an item at 0. Reads no further than the first item after the instant that it yields.
    """
    shown = next(timeline, None)
    if shown is None:
        return
    origin, end, number = shown.start, shown.end, 0
    due = origin
    for timed in timeline:
        while due < timed.start:
            yield due - origin, shown.item
            number += 1
            due = origin + number / frames_per_second
        shown, end = timed, max(end, timed.end)
    while number == 0 or due < end:
        yield due - origin, shown.item
        number += 1
        due = origin + number / frames_per_second


def count_instants(duration: Fraction, frames_per_second: Fraction) -> int:
    """How many instants `shown_at` yields for a video of `duration` seconds."""
    return max(1, -int(-duration * frames_per_second // 1))
