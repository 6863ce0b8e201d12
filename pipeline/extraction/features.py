"""What the content model sees of a page's segments: numbers, a row a segment.

Columns come in groups, one function each. Everything that asks "how is it around here" is a difference of two
prefix sums, since the segments of a container, and those within reach of a segment, are consecutive.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.containers import Containers
from pipeline.extraction.segments import Segments
from pipeline.extraction.vocabulary import CLASSES, CONTAINER_TAG, CONTAINER_TAGS, MARKS

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
"""What tells the kind of a page in its address, in lower case."""
MEASURES = 10
"""What is measured of a container; a segment is told of three around it."""
PLACE_COLUMNS = 12 + 6 + len(CONTAINER_TAGS) + len(CLASSES) + 13 + 2 * (10 + len(CLASSES))
"""The first columns say what a segment is and what it lies in, up to the second container around it."""
SENTENCE_ENDS = frozenset('.!?…。！？"”')
_ADDRESS_MARKS = [re.compile(mark) for mark in ADDRESS_MARKS]


def text_features(segments: Segments, containers: Containers, description: str, url: str) -> tuple[Floats, Floats]:
    """For the model of text: float32[segment, feature], and float32[feature], those that all segments share.

    `description` is what the page says of itself in its head.
    """
    own, chars, commas = own_columns(segments, containers)
    marks = bits(containers.marks, len(MARKS))
    headings = _owner(containers, "h1")
    sums = _sums(own, chars)
    held = sums[:, containers.ends] - sums[:, containers.starts]
    page = page_columns(segments, containers, marks, own, chars, headings, description, url)
    around = np.array(list(map(containers.marks_around.__getitem__, segments.containers)), np.int64)
    around = bits(around, len(MARKS))
    groups = [
        own,
        place_columns(chars, sums[0], headings),
        around[:, len(CLASSES) :],
        around[:, : len(CLASSES)],
        candidate_columns(containers, chars, own, commas, held),
        *container_columns(containers, marks, held),
        *neighbour_columns(own),
    ]
    return np.concatenate(groups, axis=1, dtype=np.float32), page


def own_columns(segments: Segments, containers: Containers) -> tuple[Floats, Floats, Floats]:
    """What each segment says of itself, float32[segment, 12], its characters and its commas, float32[segment]."""
    texts, words_of = segments.texts, segments.words
    if "。" in "".join(texts):
        # Without spaces between words, sentences have to do.
        texts = [text.replace("。", ". ").replace("、", ",").replace("，", ",") for text in texts]
        words_of = [len(text.split(" ")) if text else 0 for text in texts]
    count, occurrences = len(texts), Counter(texts)
    first, last = [text[:1] for text in texts], [text[-1:] for text in texts]
    said: tuple[Iterable[float], ...] = (
        map(len, texts),
        words_of,
        segments.linked,
        map(str.count, texts, repeat(",")),
        map(SENTENCE_ENDS.__contains__, last),
        map(str.isdigit, first),
        map(str.isdigit, last),
        map(str.islower, first),
        map(occurrences.__getitem__, texts),
        segments.media,
    )
    chars, words, linked, commas, sentence, digit, digits, lower, times, media = (
        np.fromiter(column, np.float32, count) for column in said
    )
    own = np.empty((count, 12), np.float32)
    own[:, 0] = np.log1p(chars) / 5
    own[:, 1] = np.log1p(words) / 4
    own[:, 2] = linked / np.maximum(chars, 1)
    own[:, 3] = 5 * commas / np.maximum(words, 1)
    own[:, 4] = sentence
    own[:, 5] = digit + digits
    own[:, 6] = lower
    own[:, 7] = times > 1
    own[:, 8] = _owner(containers, "p")
    own[:, 9] = chars > 80
    own[:, 10] = media > 0
    own[:, 11] = chars < 25
    return own, chars, commas


def _owner(containers: Containers, tag: str) -> NDArray[np.bool_]:
    """bool[segment]: whether the nearest container, or one that holds the same, is a `tag`."""
    return (containers.marks & CONTAINER_TAG[tag] > 0)[containers.nearest]


def _sums(own: Floats, chars: Floats) -> Floats:
    """float32[7, segment + 1]: of the first 0, 1, 2, ... segments, the characters, those in links and in paragraphs,
    how many are long and media, their commas a word, and how many are repeated."""
    sums = np.zeros((7, len(chars) + 1), np.float32)
    values = sums[:, 1:]
    values[0] = chars
    values[1:3] = chars * own[:, 2:9:6].T
    values[3:5] = own[:, 9:11].T
    values[5:] = own[:, 3:8:4].T
    np.cumsum(values, axis=1, out=values)
    return sums


def place_columns(chars: Floats, before: Floats, headings: NDArray[np.bool_]) -> Floats:
    """Where each segment stands on the page, and where from the first heading: float32[segment, 6].

    `before` holds the characters before each segment, and those of all.
    """
    count = len(chars)
    index = np.arange(count, dtype=np.float32)
    first = int(headings.argmax()) if count else 0
    distance = (index - first) / 50
    columns = np.empty((6, count), np.float32)
    columns[0] = (before[:-1] + chars / 2) / max(before[-1], 1)
    columns[1] = index / max(count, 1)
    columns[2] = (index >= first) & headings.any()
    columns[3] = _within(distance, 2)
    columns[4] = np.minimum(np.abs(distance), 1)
    columns[5] = index >= first
    return columns.T


def container_columns(containers: Containers, marks: NDArray[np.uint8], held: Floats) -> list[NDArray[Any]]:
    """What the containers around each segment hold, level by level, and what their tags and classes are."""
    held, linked, prose, long, media, commas, repeated = held
    number = (containers.ends - containers.starts).astype(np.float32)
    characters, segments_held = np.maximum(held, 1), np.maximum(number, 1)
    table = np.empty((len(held), MEASURES + len(MARKS)), np.float32)
    columns = table.T
    columns[0] = held / max(float(held[0]), 1)
    columns[1] = np.log1p(held) / 9
    columns[2] = linked / characters
    columns[3] = np.log1p(number) / 5
    columns[4] = np.log1p(held / segments_held) / 5
    columns[5] = prose / characters
    columns[6] = long / segments_held
    columns[7] = np.log1p(media) / 4
    columns[8] = commas / segments_held
    columns[9] = repeated / segments_held
    table[:, MEASURES:] = marks
    first = containers.nearest
    second = containers.parents[first]
    outer = table[np.stack([second, containers.parents[second]], axis=1)]
    return [table[first, : MEASURES + len(CLASSES)], outer.reshape(len(first), -1)]


def neighbour_columns(own: Floats) -> list[Floats]:
    """The segment before each and the one after it, and the means over fifteen to each side."""
    padded = np.zeros((len(own) + 2, own.shape[1]), np.float32)
    padded[1:-1] = own
    number, sums = window_sums(own, 15)
    return [padded[:-2], padded[2:], sums / number]


def candidate_columns(containers: Containers, chars: Floats, own: Floats, commas: Floats, held: Floats) -> Floats:
    """Each segment against the container that Readability's score of paragraphs prefers: float32[segment, 13]."""
    parents, starts, ends = containers.parents, containers.starts, containers.ends
    worth = np.where((chars > 25) & (own[:, 2] < 0.5), 1 + commas + np.minimum(chars / 100, 3), 0)
    first = parents[containers.nearest]
    second = parents[first]
    score = np.bincount(first, worth, len(parents))
    score += np.bincount(second, worth / 2, len(parents))
    score += np.bincount(parents[second], worth / 6, len(parents))
    characters, linked = held[0], held[1]
    score *= 1 - linked / np.maximum(characters, 1)
    around = [int(score.argmax())]
    while len(around) < 4:
        around.append(int(parents[around[-1]]))
    top = max(float(score[around[0]]), 1e-6)
    index = np.arange(len(chars))
    columns = np.empty((13, len(chars)), np.float32)
    columns[:4] = (index >= starts[around, None]) & (index < ends[around, None])
    columns[4] = _within((index - starts[around[0]]) / 30, 2)
    columns[5] = _within((index - ends[around[0]]) / 30, 2)
    columns[6] = np.log1p(np.maximum(score[first], 0)) / 4
    columns[7] = score[first] / top
    columns[8] = score[second] / top
    columns[9] = top / max(float(score.sum()), 1e-6)
    columns[10] = math.log1p(top) / 5
    columns[11] = characters[around[0]] / max(characters[0], 1)
    score[around[0]] = 0
    columns[12] = score.max() / top
    return columns.T


def page_columns(
    segments: Segments,
    containers: Containers,
    marks: NDArray[np.uint8],
    own: Floats,
    chars: Floats,
    headings: NDArray[np.bool_],
    description: str,
    url: str,
) -> Floats:
    """What is true of the whole page: float32[feature]; `marks` holds the bits of each container."""
    count, total = max(len(segments), 1), max(float(chars.sum()), 1)
    distinct = marks[containers.innermost, len(CLASSES) :]
    url = url.lower()
    values = [
        math.log1p(total) / 10,
        sum(segments.linked) / total,
        math.log1p(len(segments)) / 6,
        headings.any(),
        math.log1p(own[:, 10].sum()) / 4,
        float(own[:, 8] @ chars) / total,
        own[:, 9].sum() / count,
        *(any(map(description.__contains__, mark)) for mark in PAGE_MARKS),
        *(mark.search(url) is not None for mark in _ADDRESS_MARKS),
        min(url.count("/"), 8) / 8,
        math.log1p(len(distinct)) / 10,
        *(np.log1p(distinct.sum(axis=0)) / 6).tolist(),
    ]
    return np.array(values, np.float32)


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
    octets = values.astype("<i8", copy=False).view(np.uint8)
    return np.unpackbits(octets.reshape(-1, 8), axis=1, count=count, bitorder="little")
