"""The block elements around the segments of a page: what each holds, and what its tag says."""

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.segments import Segments
from pipeline.extraction.vocabulary import CONTAINER_TAG, LONG_ATTRIBUTES, classes_of

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """Columns of equal length, one entry a container of `Segments`, as int64[container].

    Containers that hold the same segments count as one, so that a wrapping element changes nothing.
    """

    starts: Integers
    ends: Integers
    """First segment of each container, and first segment after it."""
    parents: Integers
    """The nearest container around it that holds more; of the outermost, itself."""
    tags: Integers
    """Bits of `CONTAINER_TAGS`, of the container and those around it that hold the same."""
    classes: Integers
    """Bits of `CLASSES`, likewise."""
    tags_around: Integers
    """Bits of `CONTAINER_TAGS`, of the container and all around it."""
    classes_around: Integers
    """Bits of `CLASSES`, likewise."""
    innermost: Integers
    """Numbers of the containers that hold something, and no one other that holds the same."""
    nearest: Integers
    """int64[segment]: the container of each segment."""


def containers_of(segments: Segments) -> Containers:
    """What the tags of the containers say, by what they hold."""
    starts, ends, around = segments.starts, segments.ends, segments.parents
    parents, div = list(around), CONTAINER_TAG["div"]
    tags, classes, tags_around, classes_around = [div], [0], [0], [0]
    inner = [start != end for start, end in zip(starts, ends, strict=True)]
    for container, number in enumerate(segments.container_tags):
        if not container:
            continue
        outer, start, end = around[container], starts[container], ends[container]
        tag = CONTAINER_TAG.get(segments.names[number], div)
        said = classes_of(segments.attributes[number][:LONG_ATTRIBUTES]) if start != end else 0
        tags_around.append(tags_around[outer] | tag)
        classes_around.append(classes_around[outer] | said)
        same = start == starts[outer] and end == ends[outer]
        if same:
            parents[container] = parents[outer]
            inner[outer] = False
        tags.append(tag | tags[outer] if same else tag)
        classes.append(said | classes[outer] if same else said)
    columns = np.array([starts, ends, parents, tags, classes, tags_around, classes_around], np.int64)
    names = ("starts", "ends", "parents", "tags", "classes", "tags_around", "classes_around")
    return Containers(
        **dict(zip(names, columns, strict=True)),
        innermost=np.flatnonzero(inner),
        nearest=np.array(segments.containers, np.int64),
    )


def nearest(segments: Segments, number: int, names: Container[str]) -> int:
    """The innermost container with one of `names` that segment `number` lies in, or 0."""
    container = segments.containers[number]
    while container and segments.names[segments.container_tags[container]] not in names:
        container = segments.parents[container]
    return container
