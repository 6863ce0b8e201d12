"""Which segments of a page belong to what the page exists for: a small network over `pipeline.extraction.features`.

The network's weights lie in salience.json, as numbers to read; `python -m benchmarks.train_salience` makes that file
from pages whose content people marked.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.containers import Containers
from pipeline.extraction.features import PLACE_COLUMNS, Floats, prefix, text_features
from pipeline.extraction.media import pixels
from pipeline.extraction.segments import Segments
from pipeline.extraction.tags import attributes_of

WEIGHTS = Path(__file__).with_suffix(".json")
IMAGE_THRESHOLD = 0.5
"""Chance from which an image counts as content; between recall and precision, by cross-validation."""
MOST_LOGIT = 80.0
"""exp(80) is near the largest float32."""
IMAGE_LEVELS = 6
IMAGE_REACHES = (3, 10, 30)
DECORATION = (
    "logo", "icon", "avatar", "sprite", "badge", "pixel", "emoji", "smil", "flag", "star", "arrow", "social",
    "gravatar", "profile", "payment", "button", "banner", ".svg", "/ad", "ads/",
)  # fmt: skip
"""Words in the attributes of images that decorate."""


Models = Mapping[str, Sequence["Network"]]
"""Networks by what they judge: text, image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers of weights float32[inputs, outputs] and biases float32[outputs], with max(0, x) between them."""

    layers: tuple[tuple[Floats, Floats], ...]

    def logits(self, features: Floats) -> Floats:
        """float32[row] for float32[row, feature]."""
        values = features
        for number, (weights, biases) in enumerate(self.layers):
            values = (np.maximum(values, 0) if number else values) @ weights + biases
        return values[:, 0]


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


def chances(ensemble: Sequence[Network], features: Floats) -> Floats:
    """float32[row]: the chance that each row of float32[row, feature] is content."""
    logits = sum(network.logits(features) for network in ensemble) / len(ensemble)
    return (1 / (1 + np.exp(-np.clip(logits, -MOST_LOGIT, MOST_LOGIT)))).astype(np.float32)


def content_of(
    segments: Segments, containers: Containers, description: str, url: str, models: Models | None = None
) -> NDArray[np.bool_]:
    """bool[segment]: the text and the media that belong to the content, by `models` or those of salience.json."""
    models = models or networks()
    features = text_features(segments, containers, description, url)
    likely, words = chances(models["text"], features), word_counts(segments)
    keep = best_choice(likely, words)
    media = np.flatnonzero(np.asarray(segments.media))
    if len(media):
        keep[media] = (
            chances(models["image"], image_features(segments, containers, features, likely, words, media))
            > IMAGE_THRESHOLD
        )
    return keep


def word_counts(segments: Segments) -> Floats:
    """float32[segment]: words of text."""
    return np.fromiter((text.count(" ") + 1 if text else 0 for text in segments.texts), np.float32, len(segments))


def best_choice(chances: Floats, words: Floats) -> NDArray[np.bool_]:
    """The choice of segments with the highest expected F1 of words: the likeliest ones, as many as pay.

    Jansche (2007): for independent chances the best choice takes all above a threshold, here found for each page.
    """
    order = np.argsort(-chances, kind="stable")
    wanted = (chances * words)[order].cumsum()
    f1 = 2 * wanted / np.maximum(words[order].cumsum() + wanted[-1], 1e-9)
    keep = np.zeros(len(chances), np.bool_)
    keep[order[: int(f1.argmax()) + 1]] = True
    return keep


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
    pictures = np.zeros(len(segments), np.float32)
    pictures[media] = 1
    sums = prefix(np.stack([likely * words, words, pictures], axis=1))
    total, count = max(float(sums[-1, 0]), 1e-6), len(segments)
    levels = [containers.nearest[media]]
    for _ in range(IMAGE_LEVELS - 1):
        levels.append(containers.parents[levels[-1]])
    around = np.stack(levels)
    low = [np.maximum(media - reach, 0) for reach in IMAGE_REACHES]
    high = [np.minimum(media + reach + 1, count) for reach in IMAGE_REACHES]
    starts = np.concatenate([containers.starts[around], low, low, [media] * len(IMAGE_REACHES)])
    ends = np.concatenate([containers.ends[around], high, [media] * len(IMAGE_REACHES), high])
    wanted, held, images = np.moveaxis(sums[ends] - sums[starts], 2, 0)
    share = (wanted + 0.05) / (held + 0.3)
    inside = slice(IMAGE_LEVELS)
    columns = [
        share,
        wanted[inside] / total,
        np.log1p(held[inside]) / 6,
        np.log1p(images[inside]) / 3,
        sums[None, media, 0] / total,
    ]
    declared = np.asarray([_declared(attributes_of(segments, segments.media[number])) for number in media], np.float32)
    place = features[media, :PLACE_COLUMNS]
    return np.concatenate([place, np.concatenate(columns).T, declared], axis=1, dtype=np.float32)


def _declared(attributes: dict[str, str]) -> tuple[float, ...]:
    """What the attributes of a medium say, as eight numbers."""
    width, height = pixels(attributes.get("width", "")), pixels(attributes.get("height", ""))
    alt = len(attributes.get("alt", ""))
    lower = " ".join(attributes.values()).lower()
    return (
        float(width > 0),
        float(0 < width < 65),
        min(width, 1000) / 500,
        float(0 < height < 65),
        min(height, 1000) / 500,
        float(alt > 0),
        math.log1p(alt) / 4,
        float(any(word in lower for word in DECORATION)),
    )
