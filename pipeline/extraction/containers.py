"""The block elements around the segments of a page: what each holds, and what its tag says."""

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.segments import Segments
from pipeline.extraction.vocabulary import CONTAINER_TAG, LONG_ATTRIBUTES, classes_of

Integers = NDArray[np.int64]
DIV = CONTAINER_TAG["div"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """Columns of equal length, one entry a container of `Segments`.

    Containers that hold the same segments count as one, so that a wrapping element changes nothing.
    """

    starts: Integers
    ends: Integers
    """int64[container]: first segment of each, and first segment after it."""
    parents: Integers
    """int64[container]: the nearest container around it that holds more; of the outermost, itself."""
    marks: Integers
    """int64[container]: bits of `MARKS`, of the container and those around it that hold the same."""
    marks_around: list[int]
    """Bits of `MARKS`, of the container and all around it."""
    innermost: NDArray[np.bool_]
    """bool[container]: which hold no other that holds the same."""
    nearest: Integers
    """int64[segment]: the container of each segment."""


def containers_of(segments: Segments) -> Containers:
    """What the tags of the containers say, by what they hold."""
    starts, ends, around, names, said = (
        segments.starts,
        segments.ends,
        segments.parents,
        segments.names,
        segments.attributes,
    )
    parents, marks, marks_around = list(around), [DIV], [DIV]
    wrapping: list[int] = []
    for container, number in enumerate(segments.container_tags[1:], start=1):
        outer = around[container]
        mark = CONTAINER_TAG.get(names[number], DIV)
        if attributes := said[number]:
            mark |= classes_of(attributes[:LONG_ATTRIBUTES])
        marks_around.append(marks_around[outer] | mark)
        if starts[container] == starts[outer] and ends[container] == ends[outer]:
            parents[container] = parents[outer]
            mark |= marks[outer]
            wrapping.append(outer)
        marks.append(mark)
    innermost = np.ones(len(marks), np.bool_)
    innermost[wrapping] = False
    return Containers(
        starts=np.array(starts, np.int64),
        ends=np.array(ends, np.int64),
        parents=np.array(parents, np.int64),
        marks=np.array(marks, np.int64),
        marks_around=marks_around,
        innermost=innermost,
        nearest=np.array(segments.containers, np.int64),
    )


def lies_in(segments: Segments, containers: Containers, number: int, tag: str) -> bool:
    """Whether a container around segment `number` is a `tag`; faster than to ask for the nearest."""
    return containers.marks_around[segments.containers[number]] & CONTAINER_TAG[tag] > 0


def nearest(segments: Segments, number: int, names: Container[str]) -> int:
    """The innermost container with one of `names` that segment `number` lies in, or 0."""
    found, tags, parents = segments.names, segments.container_tags, segments.parents
    container = segments.containers[number]
    while container and found[tags[container]] not in names:
        container = parents[container]
    return container
