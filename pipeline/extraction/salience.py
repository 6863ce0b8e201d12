"""Which segments of a page belong to what the page exists for: a small network over `pipeline.extraction.features`.

The network's weights lie in salience.json, as numbers to read; `python -m benchmarks.train_salience` makes that file
from pages whose content people marked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.containers import Containers
from pipeline.extraction.features import Floats, text_features
from pipeline.extraction.image_features import image_features
from pipeline.extraction.segments import Segments
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
