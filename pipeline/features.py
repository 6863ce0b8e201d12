"""What the content model sees of a page's segments: numbers, a row a segment.

Columns come in groups, one function each. Everything that asks "how is it around here" is a difference of two
prefix sums, since the segments of a container, and those within reach of a segment, are consecutive.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.segments import CLASSES, CONTAINER_TAG, CONTAINER_TAGS, TAGS, Chains, Segments, chains

Floats = NDArray[np.float32]
PAGE_MARKS = (
    (b'"NewsArticle"', b'"Article"', b'"BlogPosting"', b'"TechArticle"', b'"ReportageNewsArticle"'),
    (b'"@type":"Product"', b'"@type": "Product"', b"schema.org/Product"),
    (b"DiscussionForumPosting", b"QAPage", b"schema.org/Question"),
    (b"ItemList", b"CollectionPage", b"OfferCatalog"),
    (b'content="article"',),
    (b'content="product"', b'content="og:product"', b'content="product.item"'),
    (b'content="website"',),
    (b"article:published_time", b"datePublished"),
    (b"iscourse", b"ulletin", b"phpbb", b"phpBB", b"en Foro", b"enForo", b"nvision", b"larum", b"anilla"),
    (b"hopify", b"ooCommerce", b"oocommerce", b"agento", b"restashop"),
    (b"phinx", b"readthedocs", b"ocusaurus", b"mkdocs", b"itbook", b"oxygen", b"javadoc", b"prism"),
    (b"wp-content",),
    (b"add-to-cart", b"addtocart", b"Add to Cart", b"Add to cart", b"add-to-bag", b"Add to Bag"),
    (b"FAQPage", b"LocalBusiness"),
    (b"<article",),
    (b"<main",),
    (b'itemprop="price', b"product:price"),
)
"""What tells the kind of a page in its bytes."""
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
PAGE_COUNTS = (b"<article", b"<p", b"<li", b"<img", b"comment")
READ_BYTES = 120_000
"""Marks are looked for in so many bytes of a page."""
LEVELS = 6
"""A segment is told of so many containers around it."""
_ADDRESS_MARKS = [re.compile(mark, re.IGNORECASE) for mark in ADDRESS_MARKS]


def text_features(segments: Segments, html: bytes, url: str) -> Floats:
    """float32[segment, feature] for the model of text."""
    own, chars = own_columns(segments)
    grouped = chains(segments)
    page = page_columns(segments, own, chars, html, url)
    groups = [
        own,
        place_columns(segments, chars),
        bits([CONTAINER_TAG.get(owner, CONTAINER_TAG["div"]) for owner in segments.owners], len(CONTAINER_TAGS)),
        bits(segments.tags, len(TAGS)),
        bits(segments.classes, len(CLASSES)),
        container_columns(segments, grouped, own, chars),
        neighbour_columns(own),
        candidate_columns(segments, grouped, chars, own),
        np.broadcast_to(page, (len(segments), len(page))),
    ]
    return np.concatenate(groups, axis=1, dtype=np.float32)


def own_columns(segments: Segments) -> tuple[Floats, Floats]:
    """What each segment says of itself, float32[segment, 14], and its characters, float32[segment]."""
    texts, count = segments.texts, len(segments)
    letters = Letters(texts)
    chars = letters.lengths.astype(np.float32)
    words = np.where(chars > 0, letters.count(letters.among(" \n")) + 1, 0)
    occurrences = Counter(texts)
    columns = [
        np.log1p(chars) / 5,
        np.log1p(words) / 4,
        np.asarray(segments.linked, np.float32) / np.maximum(chars, 1),
        5 * letters.count(letters.among(",、，")) / np.maximum(words, 1),
        np.log1p(letters.count(letters.sentence_ends())),
        np.fromiter((text != "" and text[-1] in '.!?…。！？"”' for text in texts), np.float32, count),
        letters.count((letters.codes >= ord("0")) & (letters.codes <= ord("9"))) / np.maximum(chars, 1),
        np.fromiter((text[:40].isupper() for text in texts), np.float32, count),
        np.fromiter((text[:1].islower() for text in texts), np.float32, count),
        np.fromiter((occurrences[text] > 1 for text in texts), np.float32, count),
        np.fromiter((owner == "p" for owner in segments.owners), np.float32, count),
        chars > 80,
        np.fromiter((element is not None for element in segments.elements), np.float32, count),
        chars < 25,
    ]
    return np.stack(columns, axis=1).astype(np.float32), chars


class Letters:
    """All texts of a page as one array of code points, so that counting is done once for all."""

    def __init__(self, texts: Sequence[str]) -> None:
        joined = "".join(texts).encode("utf-32-le", "surrogatepass")
        self.codes = np.frombuffer(joined, np.uint32)
        self.lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self._ends = np.cumsum(self.lengths)

    def among(self, characters: str) -> NDArray[np.bool_]:
        """bool[letter]: which are one of `characters`."""
        return np.isin(self.codes, np.array([ord(character) for character in characters], np.uint32))

    def sentence_ends(self) -> NDArray[np.bool_]:
        """bool[letter]: a stop with white space behind it, or an ideographic one."""
        stops, spaces = self.among(".?!"), self.codes == ord(" ")
        stops[:-1] &= spaces[1:]
        stops[-1:] = False
        return stops | (self.codes == ord("。"))

    def count(self, chosen: NDArray[np.bool_]) -> Floats:
        """float32[text]: how many of the chosen letters each text has."""
        sums = np.concatenate([[0], np.cumsum(chosen)])
        return (sums[self._ends] - sums[self._ends - self.lengths]).astype(np.float32)


def place_columns(segments: Segments, chars: Floats) -> Floats:
    """Where each segment stands on the page, and where from the first heading: float32[segment, 6]."""
    count = len(segments)
    before = prefix(chars)
    headings = np.fromiter((owner == "h1" for owner in segments.owners), np.bool_, count)
    distance = (np.arange(count) - (int(headings.argmax()) if headings.any() else 0)) / 50
    columns = [
        (before[:-1] + chars / 2) / max(before[-1], 1),
        np.arange(count) / max(count, 1),
        np.cumsum(headings) > 0,
        np.clip(distance, -2, 2),
        np.abs(np.clip(distance, -1, 1)),
        distance >= 0,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def container_columns(segments: Segments, grouped: Chains, own: Floats, chars: Floats) -> Floats:
    """What the containers around each segment hold, level by level, and what their tags and classes are."""
    starts, ends = np.asarray(segments.starts), np.asarray(segments.ends)

    def total(values: Floats) -> Floats:
        sums = prefix(values)
        return sums[ends] - sums[starts]

    held, number = total(chars), (ends - starts).astype(np.float32)
    columns = [
        held / max(float(chars.sum()), 1),
        np.log1p(held) / 9,
        total(own[:, 2] * chars) / np.maximum(held, 1),
        np.log1p(number) / 5,
        np.log1p(held / np.maximum(number, 1)) / 5,
        total(own[:, 10] * chars) / np.maximum(held, 1),
        total(own[:, 11]) / np.maximum(number, 1),
        np.log1p(total(own[:, 12])) / 4,
        total(own[:, 3]) / np.maximum(number, 1),
        total(own[:, 9]) / np.maximum(number, 1),
    ]
    measures = np.stack(columns, axis=1).astype(np.float32)
    classes = bits(grouped.classes, len(CLASSES))
    tags = bits(grouped.tags, len(CONTAINER_TAGS))
    parents, container = np.asarray(grouped.parents), np.asarray(segments.containers)
    groups: list[Floats] = []
    for level in range(LEVELS):
        groups.append(measures[container])
        if level < 3:
            groups.append(classes[container])
        if level in (1, 2):
            groups.append(tags[container])
        container = parents[container]
    return np.concatenate(groups, axis=1)


def neighbour_columns(own: Floats) -> Floats:
    """The three segments before and after each, and means over five and fifteen to each side."""
    count = len(own)
    padded = np.pad(own, ((3, 3), (0, 0)))
    groups = [padded[3 + step : 3 + step + count] for step in (-3, -2, -1, 1, 2, 3)]
    groups += [(sums[1] / sums[0]).astype(np.float32) for sums in (window_sums(own, reach) for reach in (5, 15))]
    return np.concatenate(groups, axis=1)


def candidate_columns(segments: Segments, grouped: Chains, chars: Floats, own: Floats) -> Floats:
    """Each segment against the container that Readability's score of paragraphs prefers: float32[segment, 13]."""
    parents, starts, ends = (np.asarray(values) for values in (grouped.parents, segments.starts, segments.ends))
    linked = np.asarray(segments.linked, np.float32)
    commas = np.fromiter((text.count(",") for text in segments.texts), np.float32, len(segments))
    worth = np.where((chars > 25) & (own[:, 2] < 0.5), 1 + commas + np.minimum(chars / 100, 3), 0)
    first = parents[np.asarray(segments.containers)]
    second = parents[first]
    score = np.zeros(len(parents))
    for containers, share in ((first, 1), (second, 2), (parents[second], 6)):
        np.add.at(score, containers, worth / share)
    links, held = prefix(linked), prefix(chars)
    score *= 1 - (links[ends] - links[starts]) / np.maximum(held[ends] - held[starts], 1)
    best = int(score.argmax())
    index, top = np.arange(len(segments)), max(float(score[best]), 1e-6)
    inside, container = [], best
    for _ in range(4):
        inside.append((index >= starts[container]) & (index < ends[container]))
        container = parents[container]
    runner_up = float(np.sort(score)[-2]) if len(score) > 1 else 0.0
    page = [
        top / max(float(score.sum()), 1e-6),
        np.log1p(top) / 5,
        (held[ends[best]] - held[starts[best]]) / max(held[-1], 1),
        runner_up / top,
    ]
    columns = [
        *inside,
        np.clip((index - starts[best]) / 30, -2, 2),
        np.clip((index - ends[best]) / 30, -2, 2),
        np.log1p(np.maximum(score[first], 0)) / 4,
        score[first] / top,
        score[second] / top,
        *(np.full(len(segments), value) for value in page),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def page_columns(segments: Segments, own: Floats, chars: Floats, html: bytes, url: str) -> Floats:
    """What is true of the whole page: float32[feature]."""
    read = html[:READ_BYTES]
    count, total = max(len(segments), 1), max(float(chars.sum()), 1)
    values = [
        np.log1p(total) / 10,
        sum(segments.linked) / total,
        np.log1p(len(segments)) / 6,
        "h1" in segments.owners,
        np.log1p(own[:, 12].sum()) / 4,
        float((own[:, 10] * chars).sum()) / total,
        own[:, 11].sum() / count,
        *(any(word in read for word in mark) for mark in PAGE_MARKS),
        *(mark.search(url) is not None for mark in _ADDRESS_MARKS),
        min(url.count("/"), 8) / 8,
        np.log1p(len(read)) / 14,
        *(np.log1p(read.count(word)) / 6 for word in PAGE_COUNTS),
    ]
    return np.asarray(values, np.float32)


def window_sums(values: Floats, reach: int) -> tuple[Floats, Floats]:
    """How many rows lie within `reach` of each, float32[segment, 1], and their sums, float32[segment, column]."""
    count = len(values)
    sums = prefix(values)
    low = np.clip(np.arange(count) - reach, 0, count)
    high = np.clip(np.arange(count) + reach + 1, 0, count)
    return (high - low).astype(np.float32)[:, None], sums[high] - sums[low]


def prefix(values: Floats) -> Floats:
    """Sums of the first 0, 1, 2, ... rows."""
    return np.concatenate([np.zeros_like(values, shape=(1, *values.shape[1:])), np.cumsum(values, axis=0)])


def bits(values: list[int], count: int) -> Floats:
    """float32[value, bit]."""
    return ((np.asarray(values, np.int64)[:, None] >> np.arange(count)) & 1).astype(np.float32)
