"""What the content model sees of a page's segments: numbers, a row a segment.

Columns come in groups, one function each. Everything that asks "how is it around here" is a difference of two
prefix sums, since the segments of a container, and those within reach of a segment, are consecutive.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.containers import Containers
from pipeline.extraction.segments import Segments
from pipeline.extraction.vocabulary import CLASSES, CONTAINER_TAG, CONTAINER_TAGS

Floats = NDArray[np.float32]
PAGE_MARKS = (
    ('Article"', 'Posting"'),
    ('"Product"', "og:type=product", "og:type=og:product"),
    ("DiscussionForumPosting", "QAPage", "Question"),
    ("ItemList", "CollectionPage", "OfferCatalog"),
    ("og:type=article",),
    ("og:type=website",),
    ("article:published_time", "datePublished"),
    ("iscourse", "ulletin", "phpbb", "phpBB", "en Foro", "enForo", "nvision", "larum", "anilla"),
    ("hopify", "ooCommerce", "oocommerce", "agento", "restashop", "product:price"),
    ("phinx", "readthedocs", "ocusaurus", "mkdocs", "MkDocs", "itbook", "oxygen", "javadoc"),
    ("ordPress",),
    ("FAQPage", "LocalBusiness", "Organization"),
)
"""What tells the kind of a page in its description of itself."""
ADDRESS_MARKS = (
    r"/(product|p|dp|item|itm)s?/|/app/",
    r"/(collections?|category|categories|shop|c|store)/",
    r"forum|/t/|/thread|topic|showthread|viewtopic|community|discuss|questions?/|/r/",
    r"docs?\.|/docs?/|documentation|reference|/api|manual|guide|wiki|tutorial|developer",
    r"blog|/news|article|/20[0-2]\d|story",
    r"service|about|solutions|pricing|contact|features",
    r"^https?://[^/]+/?$",
    r"search|list|tag|directory|jobs|courses|events|best|top",
    r"-\w+-\w+-\w+-",
)
"""What tells the kind of a page in its address."""
LEVELS = 3
"""A segment is told of so many containers around it."""
PLACE_COLUMNS = 14 + 6 + len(CONTAINER_TAGS) + len(CLASSES) + 13 + 2 * (10 + len(CLASSES))
"""The first columns say what a segment is and what it lies in, up to the second container around it."""
SENTENCE_ENDS = frozenset('.!?…。！？"”')
_ADDRESS_MARKS = [re.compile(mark, re.IGNORECASE) for mark in ADDRESS_MARKS]


def text_features(segments: Segments, containers: Containers, description: str, url: str) -> Floats:
    """float32[segment, feature] for the model of text; `description` is what the page says of itself in its head."""
    nearest = containers.nearest
    own, chars = own_columns(segments, containers)
    tags = bits(containers.tags, len(CONTAINER_TAGS))
    distinct = tags[containers.innermost]
    headings = _owner(segments, containers, "h1")
    page = page_columns(segments, distinct, own, chars, headings, description, url)
    groups = [
        own,
        place_columns(segments, chars, headings),
        bits(containers.tags_around, len(CONTAINER_TAGS))[nearest],
        bits(containers.classes_around, len(CLASSES))[nearest],
        candidate_columns(segments, containers, chars, own),
        *container_columns(segments, containers, tags, own, chars),
        *neighbour_columns(own),
        np.broadcast_to(page, (len(segments), len(page))),
    ]
    return np.concatenate(groups, axis=1, dtype=np.float32)


def own_columns(segments: Segments, containers: Containers) -> tuple[Floats, Floats]:
    """What each segment says of itself, float32[segment, 14], and its characters, float32[segment]."""
    texts = segments.texts
    if any("。" in text for text in texts):
        texts = [text.replace("。", ". ").replace("、", ",").replace("，", ",") for text in texts]
    count, occurrences = len(texts), Counter(texts)
    first, last = [text[:1] for text in texts], [text[-1:] for text in texts]
    said: tuple[Iterable[float], ...] = (
        map(len, texts),
        map(str.count, texts, repeat(" ")),
        segments.linked,
        map(str.count, texts, repeat(",")),
        map(str.count, texts, repeat(". ")),
        map(SENTENCE_ENDS.__contains__, last),
        map(str.isdigit, first),
        map(str.isdigit, last),
        (text[:40].isupper() for text in texts),
        map(str.islower, first),
        map(occurrences.__getitem__, texts),
        segments.media,
    )
    chars, spaces, linked, commas, ends, sentence, digit, digits, upper, lower, times, media = (
        np.fromiter(column, np.float32, count) for column in said
    )
    words = np.where(chars > 0, spaces + 1, 0)
    own = np.empty((count, 14), np.float32)
    own[:, 0] = np.log1p(chars) / 5
    own[:, 1] = np.log1p(words) / 4
    own[:, 2] = linked / np.maximum(chars, 1)
    own[:, 3] = 5 * commas / np.maximum(words, 1)
    own[:, 4] = np.log1p(ends)
    own[:, 5] = sentence
    own[:, 6] = digit + digits
    own[:, 7] = upper
    own[:, 8] = lower
    own[:, 9] = times > 1
    own[:, 10] = _owner(segments, containers, "p")
    own[:, 11] = chars > 80
    own[:, 12] = media > 0
    own[:, 13] = chars < 25
    return own, chars


def _owner(segments: Segments, containers: Containers, tag: str) -> NDArray[np.bool_]:
    """bool[segment]: whether the nearest container, or one that holds the same, is a `tag`."""
    owners = containers.tags & CONTAINER_TAG[tag] > 0
    return owners[containers.nearest]


def place_columns(segments: Segments, chars: Floats, headings: NDArray[np.bool_]) -> Floats:
    """Where each segment stands on the page, and where from the first heading: float32[segment, 6]."""
    count = len(segments)
    before = prefix(chars)
    index = np.arange(count)
    distance = (index - (int(headings.argmax()) if headings.any() else 0)) / 50
    columns = [
        (before[:-1] + chars / 2) / max(before[-1], 1),
        index / max(count, 1),
        np.cumsum(headings) > 0,
        _within(distance, 2),
        np.minimum(np.abs(distance), 1),
        distance >= 0,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def container_columns(
    segments: Segments, containers: Containers, tags: NDArray[np.uint8], own: Floats, chars: Floats
) -> list[NDArray[Any]]:
    """What the containers around each segment hold, level by level, and what their tags and classes are."""
    starts, ends = containers.starts, containers.ends
    weighted = own[:, (2, 10)] * chars[:, None]
    sums = prefix(np.concatenate([chars[:, None], weighted, own[:, (11, 12, 3, 9)]], axis=1))
    held, linked, prose, long, media, commas, repeated = (sums[ends] - sums[starts]).T
    number = (ends - starts).astype(np.float32)
    characters, segments_held = np.maximum(held, 1), np.maximum(number, 1)
    columns = [
        held / max(float(held[0]), 1),
        np.log1p(held) / 9,
        linked / characters,
        np.log1p(number) / 5,
        np.log1p(held / segments_held) / 5,
        prose / characters,
        long / segments_held,
        np.log1p(media) / 4,
        commas / segments_held,
        repeated / segments_held,
    ]
    measures = np.stack(columns, axis=1).astype(np.float32)
    classes = bits(containers.classes, len(CLASSES))
    parents, container = containers.parents, containers.nearest
    groups: list[NDArray[Any]] = []
    for level in range(LEVELS):
        groups.append(measures[container])
        groups.append(classes[container])
        if level:
            groups.append(tags[container])
        container = parents[container]
    return groups


def neighbour_columns(own: Floats) -> list[Floats]:
    """The segment before each and the one after it, and the means over fifteen to each side."""
    before, after = np.zeros_like(own), np.zeros_like(own)
    before[1:], after[:-1] = own[:-1], own[1:]
    number, sums = window_sums(own, 15)
    return [before, after, sums / number]


def candidate_columns(segments: Segments, containers: Containers, chars: Floats, own: Floats) -> Floats:
    """Each segment against the container that Readability's score of paragraphs prefers: float32[segment, 13]."""
    parents, starts, ends = containers.parents, containers.starts, containers.ends
    commas = own[:, 3] * np.expm1(own[:, 1] * 4) / 5
    worth = np.where((chars > 25) & (own[:, 2] < 0.5), 1 + commas + np.minimum(chars / 100, 3), 0)
    first = parents[containers.nearest]
    second = parents[first]
    score = sum(
        np.bincount(held_by, worth / share, len(parents))
        for held_by, share in ((first, 1), (second, 2), (parents[second], 6))
    )
    sums = prefix(np.stack([own[:, 2] * chars, chars], axis=1))
    linked, held = (sums[ends] - sums[starts]).T
    score *= 1 - linked / np.maximum(held, 1)
    best = int(score.argmax())
    index, top = np.arange(len(segments)), max(float(score[best]), 1e-6)
    inside, container = [], best
    for _ in range(4):
        inside.append((index >= starts[container]) & (index < ends[container]))
        container = parents[container]
    runner_up = float(np.partition(score, -2)[-2]) if len(score) > 1 else 0.0
    page = [top / max(float(score.sum()), 1e-6), np.log1p(top) / 5, held[best] / max(held[0], 1), runner_up / top]
    columns = [
        *inside,
        _within((index - starts[best]) / 30, 2),
        _within((index - ends[best]) / 30, 2),
        np.log1p(np.maximum(score[first], 0)) / 4,
        score[first] / top,
        score[second] / top,
        *(np.full(len(segments), value) for value in page),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def page_columns(
    segments: Segments,
    tags: NDArray[np.uint8],
    own: Floats,
    chars: Floats,
    headings: NDArray[np.bool_],
    description: str,
    url: str,
) -> Floats:
    """What is true of the whole page: float32[feature]; `tags` holds those of each distinct container."""
    count, total = max(len(segments), 1), max(float(chars.sum()), 1)
    values = [
        np.log1p(total) / 10,
        sum(segments.linked) / total,
        np.log1p(len(segments)) / 6,
        headings.any(),
        np.log1p(own[:, 12].sum()) / 4,
        float(own[:, 10] @ chars) / total,
        own[:, 11].sum() / count,
        *(any(word in description for word in mark) for mark in PAGE_MARKS),
        *(mark.search(url) is not None for mark in _ADDRESS_MARKS),
        min(url.count("/"), 8) / 8,
        np.log1p(len(tags)) / 10,
        *(np.log1p(tags.sum(axis=0)) / 6),
    ]
    return np.asarray(values, np.float32)


def window_sums(values: Floats, reach: int) -> tuple[Floats, Floats]:
    """How many rows lie within `reach` of each, float32[segment, 1], and their sums, float32[segment, column]."""
    index, sums = np.arange(len(values)), prefix(values)
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    return (high - low).astype(np.float32)[:, None], sums[high] - sums[low]


def prefix(values: Floats) -> Floats:
    """Sums of the first 0, 1, 2, ... rows."""
    sums = np.zeros((len(values) + 1, *values.shape[1:]), values.dtype)
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _within(values: NDArray[Any], limit: float) -> NDArray[Any]:
    """`values` cut at the limit on either side; np.clip takes four times as long for a page's few."""
    return np.minimum(np.maximum(values, -limit), limit)


def bits(values: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    """uint8[value, bit]."""
    octets = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(-1, 8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :count]
