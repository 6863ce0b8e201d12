"""Which segments of a page belong to what the page exists for: a small network over `pipeline.extraction.features`.

The network's weights lie in salience.json, as numbers to read; `python -m benchmarks.train_salience` makes that file
from pages whose content people marked.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.containers import Containers
from pipeline.extraction.features import PLACE_COLUMNS, Floats, text_features
from pipeline.extraction.media import pixels
from pipeline.extraction.segments import Segments
from pipeline.extraction.tags import attributes_of
from pipeline.extraction.vocabulary import CONTAINER_TAG

WEIGHTS = Path(__file__).with_suffix(".json")
IMAGE_THRESHOLD = 0.45
"""Chance from which an image counts as content; between recall and precision, by cross-validation."""
SURE = 0.9
"""Chance from which a segment of text counts as sure."""
EVEN = 0.55
"""Least chance of a segment on a page where all else is sure; by cross-validation."""
MOST_BETWEEN = 10
"""So many segments between two texts of the content may be short lines, cells or formulas of it."""
LEAST_TABLE, MOST_IN_CELL = 6, 4
"""A table of so many segments, and of no more words in each on the average, is one of data and not of layout."""
NOTHING = np.zeros(0, np.float32)
MOST_LOGIT = 80.0
"""exp(80) is near the largest float32."""
MOST_PRODUCTS = 262_144
"""OpenBLAS wakes other threads for a product of matrices that takes more multiplications, and they keep turning until
the next one: on two cores a page took 9 ms of CPU time for 4.5. It is `SMP_THRESHOLD_MIN * GEMM_MULTITHREAD_THRESHOLD`
in its sources."""
IMAGE_LEVELS = 6
IMAGE_REACHES = (3, 10, 30)
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

Models = Mapping[str, Sequence["Network"]]
"""Networks by what they judge: text, image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers of weights float32[inputs, outputs] and biases float32[outputs], with max(0, x) between them."""

    layers: tuple[tuple[Floats, Floats], ...]

    def logits(self, features: Floats, shared: Floats = NOTHING) -> Floats:
        """float32[row] for float32[row, feature]; the last features may be `shared` by all rows, float32[feature]."""
        (weights, biases), *others = self.layers
        own = features.shape[1]
        values = product(features, weights[:own])
        values += biases + shared @ weights[own:]
        for weights, biases in others:
            np.maximum(values, 0, out=values)
            values = product(values, weights)
            values += biases
        return values[:, 0]


def product(values: Floats, weights: Floats) -> Floats:
    """float32[row, output] for float32[row, input] and float32[input, output], in pieces of `MOST_PRODUCTS`."""
    (rows, inputs), outputs = values.shape, weights.shape[1]
    step = max(MOST_PRODUCTS // weights.size, 1)
    if rows <= step:
        return values @ weights
    whole, found = rows - rows % step, np.empty((rows, outputs), np.float32)
    np.matmul(values[:whole].reshape(-1, step, inputs), weights, out=found[:whole].reshape(-1, step, outputs))
    np.matmul(values[whole:], weights, out=found[whole:])
    return found


@cache
def networks() -> dict[str, tuple[Network, ...]]:
    """The networks of text and of images: several of each, whose mean errs less than any of them."""
    return {
        name: tuple(
            Network(layers=tuple((np.asarray(w, np.float32), np.asarray(b, np.float32)) for w, b in layers))
            for layers in ensemble
        )
        for name, ensemble in json.loads(WEIGHTS.read_text()).items()
    }


def chances(ensemble: Sequence[Network], features: Floats, shared: Floats = NOTHING) -> Floats:
    """float32[row]: the chance that each row is content; `features` and `shared` as for `Network.logits`."""
    logits = sum(network.logits(features, shared) for network in ensemble) / len(ensemble)
    return (1 / (1 + np.exp(-np.minimum(np.maximum(logits, -MOST_LOGIT), MOST_LOGIT)))).astype(np.float32)


def content_of(
    segments: Segments, containers: Containers, description: str, url: str, models: Models | None = None
) -> NDArray[np.bool_]:
    """bool[segment]: the text and the media that belong to the content, by `models` or those of salience.json."""
    models = models or networks()
    features, shared = text_features(segments, containers, description, url)
    likely, words = chances(models["text"], features, shared), np.array(segments.words, np.float32)
    likely = whole_tables(containers, likely, words)
    keep = best_choice(likely, words)
    media = np.flatnonzero(np.asarray(segments.media))
    if len(media):
        keep[media] = (
            chances(models["image"], image_features(segments, containers, features, likely, words, media))
            > IMAGE_THRESHOLD
        )
    return keep


def whole_tables(containers: Containers, chances: Floats, words: Floats) -> Floats:
    """The chances of segments, float32[segment], with one for all cells of a table of data: half of one says nothing.

    It is the mean of theirs, but at least `SURE` for a table between sure texts, `MOST_BETWEEN` segments away or less.
    """
    tables = np.flatnonzero(containers.marks & CONTAINER_TAG["table"])
    if not len(tables):
        return chances
    # A table may be there twice, with a body that holds the same. What begins before it ends is a table in it.
    places = sorted({(int(containers.starts[table]), -int(containers.ends[table])) for table in tables})
    texts, evened = np.where(words > 0, chances, 0), chances.copy()
    for (start, end), (following, _) in pairwise([*places, (len(chances), 0)]):
        end = -end
        if following < end or end - start < LEAST_TABLE:
            continue
        cells = np.flatnonzero(words[start:end]) + start
        total = float(words[cells].sum())
        if not 0 < total <= MOST_IN_CELL * len(cells):
            continue
        before, after = texts[max(start - MOST_BETWEEN, 0) : start], texts[end : end + MOST_BETWEEN]
        is_between = min(before.max(initial=0), after.max(initial=0)) > SURE
        evened[cells] = max(float(texts[cells] @ words[cells]) / total, SURE * is_between)
    return evened


def best_choice(chances: Floats, words: Floats) -> NDArray[np.bool_]:
    """The choice of segments with the highest expected F1 of words; where much is sure, without what is hardly likely.

    Jansche (2007): for independent chances the best choice takes all above a threshold, which is half of the F1 that it
    reaches. But segments stand or fall together, a list of teasers with all its entries, and such a group pays from an
    even chance on. So the larger the share of the content that is `SURE`, the nearer the threshold is to `EVEN`; but
    not for what stands between chosen texts, with no more than `MOST_BETWEEN` segments from one to the next.
    """
    order = np.argsort(-chances, kind="stable")
    likely = chances * words
    wanted = likely[order].cumsum()
    f1 = 2 * wanted / np.maximum(words[order].cumsum() + wanted[-1], 1e-9)
    choice = np.zeros(len(chances), np.bool_)
    choice[order[: int(f1.argmax()) + 1]] = True
    independent = f1.max() / 2
    share = likely[chances > SURE].sum() / max(float(wanted[-1]), 1e-9)
    keep = choice & (chances >= independent + share * (EVEN - independent))
    if (keep == choice).all():
        return keep
    texts = np.flatnonzero(keep & (words > 0))
    beyond = MOST_BETWEEN + 1
    borders = np.concatenate([[-beyond - 1], texts, [len(chances) + beyond]])
    following = borders.searchsorted(np.arange(len(chances)))
    between = borders[following] - borders[following - 1] - 1
    return keep | choice & (between <= MOST_BETWEEN)


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
    starts, ends = np.empty((2, IMAGE_LEVELS + 3 * len(IMAGE_REACHES), len(media)), np.int64)
    for level in range(IMAGE_LEVELS):
        starts[level], ends[level] = containers.starts[container], containers.ends[container]
        container = containers.parents[container]
    # Within reach to both sides, before, and after.
    starts[IMAGE_LEVELS:] = ends[IMAGE_LEVELS:] = media
    reaches = np.array(IMAGE_REACHES)[:, None]
    both, before, after = (
        slice(start, start + len(reaches)) for start in range(IMAGE_LEVELS, len(starts), len(reaches))
    )
    starts[both] = starts[before] = np.maximum(media - reaches, 0)
    ends[both] = ends[after] = np.minimum(media + reaches + 1, count)
    wanted, held, images = sums[:, ends] - sums[:, starts]
    inside = slice(IMAGE_LEVELS)
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
