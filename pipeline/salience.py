"""Which segments of a page belong to what the page exists for: a small network over `pipeline.features`.

The network's weights lie in salience.json, as numbers to read; `python -m benchmarks.train_salience` makes that file
from pages whose content people marked.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.features import Floats, prefix, text_features
from pipeline.segments import Segments, chains

WEIGHTS = Path(__file__).with_suffix(".json")
IMAGE_THRESHOLD = 0.4
"""Chance from which an image counts as content; between recall and precision, by cross-validation."""
IMAGE_LEVELS = 6
IMAGE_REACHES = (3, 10, 30)
DECORATION = (
    "logo", "icon", "avatar", "sprite", "badge", "pixel", "emoji", "smil", "flag", "star", "arrow", "social",
    "gravatar", "profile", "payment", "button", "banner", ".svg", "/ad", "ads/",
)  # fmt: skip
"""Words in the attributes of images that decorate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers of weights float32[inputs, outputs] and biases float32[outputs], with max(0, x) between them."""

    layers: tuple[tuple[Floats, Floats], ...]

    def chances(self, features: Floats) -> Floats:
        """float32[row]: the chance that each row of float32[row, feature] is content."""
        values = features
        for number, (weights, biases) in enumerate(self.layers):
            values = (np.maximum(values, 0) if number else values) @ weights + biases
        return (1 / (1 + np.exp(-values[:, 0]))).astype(np.float32)


@cache
def networks() -> dict[str, Network]:
    """The networks of text and of images."""
    record = json.loads(WEIGHTS.read_text())
    return {
        name: Network(
            layers=tuple(
                (np.asarray(weights, np.float32), np.asarray(biases, np.float32)) for weights, biases in layers
            )
        )
        for name, layers in record.items()
    }


def content_of(segments: Segments, html: bytes, url: str) -> NDArray[np.bool_]:
    """bool[segment]: the text and the images that belong to the content."""
    chances = networks()["text"].chances(text_features(segments, html, url))
    words = np.fromiter((text.count(" ") + 1 if text else 0 for text in segments.texts), np.float32, len(segments))
    keep = best_choice(chances, words)
    pictures = [number for number, element in enumerate(segments.elements) if element is not None]
    if pictures:
        features = image_features(segments, chances, words)[pictures]
        keep[pictures] = networks()["image"].chances(features) > IMAGE_THRESHOLD
    return keep


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


def image_features(segments: Segments, chances: Floats, words: Floats) -> Floats:
    """float32[segment, feature] for the model of images: how likely the text around is, and what the image says."""
    starts, ends = np.asarray(segments.starts), np.asarray(segments.ends)
    parents = np.asarray(chains(segments).parents)
    number = np.arange(len(segments))
    pictures = np.fromiter((element is not None for element in segments.elements), np.float32, len(segments))
    likely, held, images = prefix(chances * words), prefix(words), prefix(pictures)
    total = max(float(likely[-1]), 1e-6)

    def share(low: NDArray[np.int64], high: NDArray[np.int64]) -> Floats:
        return ((likely[high] - likely[low] + 0.05) / (held[high] - held[low] + 0.3)).astype(np.float32)

    columns: list[NDArray[np.generic]] = []
    container = np.asarray(segments.containers)
    for _ in range(IMAGE_LEVELS):
        low, high = starts[container], ends[container]
        columns += [share(low, high), (likely[high] - likely[low]) / total]
        columns += [np.log1p(held[high] - held[low]) / 6, np.log1p(images[high] - images[low]) / 3]
        container = parents[container]
    for reach in IMAGE_REACHES:
        low = np.clip(number - reach, 0, len(segments))
        high = np.clip(number + reach + 1, 0, len(segments))
        columns += [share(low, high), share(low, number), share(number, high)]
    columns.append(likely[:-1] / total)
    declared = np.asarray([_declared(element) for element in segments.elements], np.float32)
    return np.concatenate([np.stack(columns, axis=1), declared], axis=1, dtype=np.float32)


def _declared(image: object) -> tuple[float, ...]:
    """What an `<img>` says of itself, as eight numbers."""
    if image is None:
        return (0.0,) * 8
    attributes = image.attrib  # pyright: ignore[reportAttributeAccessIssue] (an lxml element, untyped)
    width, height = _pixels(attributes.get("width")), _pixels(attributes.get("height"))
    alt = len(attributes.get("alt", ""))
    said = " ".join(attributes.values()).lower()
    return (
        float(width > 0),
        float(0 < width < 65),
        min(width, 1000) / 500,
        float(0 < height < 65),
        min(height, 1000) / 500,
        float(alt > 0),
        float(np.log1p(alt)) / 4,
        float(any(word in said for word in DECORATION)),
    )


def _pixels(length: str | None) -> int:
    digits = (length or "").strip().removesuffix("px")
    return int(digits) if digits.isdecimal() and len(digits) < 6 else 0
