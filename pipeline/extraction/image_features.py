"""What the content model sees of a page's media: where they stand, the text around, and what their tags say.

Columns of numbers, a row a medium; those of text are in `pipeline.extraction.features`.
"""

import math
import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.containers import Containers
from pipeline.extraction.features import PLACE_COLUMNS, Floats
from pipeline.extraction.media import pixels
from pipeline.extraction.segments import Segments
from pipeline.extraction.tags import attributes_of

LEVELS = 6
REACHES = (3, 10, 30)
DECORATION = ("logo", "icon", "avatar", "badge", "emoji", "star", "profile", "banner", "/theme", "plugins/")
"""Words in the attributes of images that decorate."""
PICTURE = re.compile(r"\.(?:jpe?g|png|gif|webp|avif)(?:$|[?#])", re.IGNORECASE)
"""The end of an address of a picture."""
SIDE = re.compile(r"x(?<=\dx)(\d{2,4})(?!\d)")
"""The second side of a size such as 300x200 in an address."""
ASKED = re.compile(r"[?&/,_](?:w|width|resize|h|height)[=_:]?(\d{2,4})(?!\d)")
"""A side that an address asks its server for."""
OFFERED = re.compile(r" (\d{2,5})w")
"""A width in a srcset."""
MOST_READ = 4_000
"""Characters of a tag's attributes in which sizes are looked for; addresses may be pictures themselves."""
SMALL = 150
"""Pixels below which a side that an address names is one of a thumbnail."""
ICON = 65
"""Pixels below which a declared side is one of an icon."""


def image_features(
    segments: Segments,
    containers: Containers,
    features: Floats,
    likely: Floats,
    words: Floats,
    media: NDArray[np.int64],
) -> Floats:
    """float32[medium, feature] for the model of images.

    What `text_features` say of the place, how likely the text around is, and what the tag says of itself.
    """
    count = len(segments)
    sums = np.zeros((3, count + 1), np.float32)
    sums[0, 1:] = likely * words
    sums[1, 1:] = words
    sums[2, media + 1] = 1
    np.cumsum(sums, axis=1, out=sums)
    total = max(float(sums[0, -1]), 1e-6)
    container = containers.nearest[media]
    starts, ends = np.empty((2, LEVELS + 3 * len(REACHES), len(media)), np.int64)
    for level in range(LEVELS):
        starts[level], ends[level] = containers.starts[container], containers.ends[container]
        container = containers.parents[container]
    # Within reach to both sides, before, and after.
    starts[LEVELS:] = ends[LEVELS:] = media
    reaches = np.array(REACHES)[:, None]
    both, before, after = (slice(start, start + len(reaches)) for start in range(LEVELS, len(starts), len(reaches)))
    starts[both] = starts[before] = np.maximum(media - reaches, 0)
    ends[both] = ends[after] = np.minimum(media + reaches + 1, count)
    wanted, held, images = sums[:, ends] - sums[:, starts]
    inside = slice(LEVELS)
    columns = [
        (wanted + 0.05) / (held + 0.3),
        wanted[inside] / total,
        np.log1p(held[inside]) / 6,
        np.log1p(images[inside]) / 3,
        sums[None, 0, media] / total,
    ]
    place = features[media, :PLACE_COLUMNS]
    return np.concatenate([place, np.concatenate(columns).T, _declared(segments, media)], axis=1)


def _declared(segments: Segments, media: NDArray[np.int64]) -> Floats:
    """float32[medium, 25]: what the tags of media say, and the links around them."""
    tags = [attributes_of(segments, segments.media[number]) for number in media]
    links = [segments.links[number] for number in media]
    targets = [attributes_of(segments, link).get("href", "") if link else "" for link in links]
    classes, said = [tag.get("class", "") for tag in tags], [" ".join(tag.values()).lower() for tag in tags]
    alike, linked, page = Counter(classes), Counter(targets), "\n".join(said)
    # Few of the words stand on any one page.
    decoration = [word for word in DECORATION if word in page]
    told = [
        (
            *_of_tag(tag, lower[:MOST_READ]),
            any(map(lower.__contains__, decoration)),
            ".svg" in lower,
            ".gif" in lower,
            ".png" in lower,
            alike[own],
            bool(target) and PICTURE.search(target) is not None,
            target[:1] not in ("", "#"),
            linked[target] if target else 0,
        )
        for tag, lower, own, target in zip(tags, said, classes, targets, strict=True)
    ]
    width, height, alt, is_empty, side, asked, offered, count, is_lazy, *kinds, alike, larger, leads, linked = np.array(
        told, np.float32
    ).T
    columns = [
        width > 0,
        (width > 0) & (width < ICON),
        np.minimum(width, 1000) / 500,
        (height > 0) & (height < ICON),
        np.minimum(height, 1000) / 500,
        alt > 0,
        np.log1p(alt) / 4,
        *kinds,
        np.minimum(side, 1500) / 500,
        (side > 0) & (side < SMALL),
        np.minimum(asked, 1500) / 1000,
        (asked > 0) & (asked < SMALL),
        np.minimum(offered, 2000) / 1000,
        count / 10,
        is_empty,
        is_lazy,
        side + asked + offered > 0,
        np.log1p(alike) / 4,
        larger,
        leads > larger,
        linked > 1,
        np.full(len(media), math.log1p(len(media)) / 5),
    ]
    return np.array(columns, np.float32).T


def _of_tag(attributes: dict[str, str], said: str) -> tuple[float, ...]:
    """What the attributes of a medium say, nine numbers; `said` is what they hold, in lower case."""
    sides, asked, offered = SIDE.findall(said), ASKED.findall(said), OFFERED.findall(said)
    alt = len(attributes.get("alt", ""))
    return (
        pixels(attributes.get("width", "")),
        pixels(attributes.get("height", "")),
        alt,
        not alt and "alt" in attributes,
        min(map(int, sides)) if sides else 0,
        max(map(int, asked)) if asked else 0,
        max(map(int, offered)) if offered else 0,
        len(attributes),
        attributes.get("loading") == "lazy",
    )
