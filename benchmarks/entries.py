"""Pictures of listings and collections that nobody marked: that of an entry belongs to the content if its text does.

On the 20 such pages with pictures labelled by hand 289 of 331 pictures that are taken for content here are content.
That a picture is none is not told by its text as well (143 of 216), so that only icons are taken for others.
"""

import numpy as np

from pipeline.extraction.containers import Containers
from pipeline.extraction.features import Floats
from pipeline.extraction.media import ICON_SIDE, pixels
from pipeline.extraction.segments import Segments
from pipeline.extraction.tags import attributes_of
from pipeline.extraction.vocabulary import MEDIA

KINDS_WITH_ENTRIES = ("collection", "listing")
LEAST_WORDS, MOST_WORDS = 3, 150
"""Words of an entry: the nearest container of a picture that holds so many is its entry, if it holds no more."""
MOST_LEVELS = 8
LEAST_MARKED = 0.7
"""Share of an entry's words that must be marked."""


def pictures_of_entries(segments: Segments, containers: Containers, words: Floats, found: Floats) -> Floats:
    """float32[segment]: 1 for pictures of entries of the content, 0 for icons, -1 for all else.

    `words` counts the words of each segment, and `found` is the share of them that people marked.
    """
    counted, marked = (np.append(0, values.cumsum()) for values in (words, words * found))
    targets = np.full(len(segments), -1, np.float32)
    for number, tag in enumerate(segments.media):
        if not tag or MEDIA.get(segments.names[tag], "image") != "image":
            continue
        start, end = _entry(containers, counted, number)
        held = counted[end] - counted[start]
        attributes = attributes_of(segments, tag)
        if 0 < max(pixels(attributes.get(side, "")) for side in ("width", "height")) <= ICON_SIDE:
            targets[number] = 0
        elif LEAST_WORDS <= held <= MOST_WORDS and marked[end] - marked[start] >= LEAST_MARKED * held:
            targets[number] = 1
    return targets


def _entry(containers: Containers, counted: Floats, number: int) -> tuple[int, int]:
    """The first segment of the nearest container of a picture that holds enough words, and the first after it."""
    container = int(containers.nearest[number])
    for _ in range(MOST_LEVELS):
        if counted[containers.ends[container]] - counted[containers.starts[container]] >= LEAST_WORDS:
            break
        container = int(containers.parents[container])
    return int(containers.starts[container]), int(containers.ends[container])
