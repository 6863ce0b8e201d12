"""Trains the content model of `pipeline.extraction.salience` on marked pages, and writes salience.json.

`--folds 5` measures by cross-validation over pages instead of writing. `--extra FOLDER` adds the pages that
`python -m benchmarks.fixture_pages` makes; the file that the project ships was made with them and `--seed 3`.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.marked_pages import Prepared, media_of, prepare, read_pages, with_taught
from jobs.command import InputError, run_command
from pipeline.extraction.features import Floats
from pipeline.extraction.image_features import image_features
from pipeline.extraction.salience import (
    WEIGHTS,
    Models,
    Network,
    best_choice,
    chances,
    whole_tables,
)

WEIGHT_OF_KIND = {"article": 2.5, "news": 4.0, "readability": 2.5, "extra": 2.0, "taught": 0.4}
"""Articles are more than half of the web that WCXB was drawn from, and a seventh of its open part; of other kinds a
page counts as one."""


@dataclass(frozen=True, kw_only=True)
class SalienceConfig:
    """How the content model is trained."""

    material: Path = Path("../shared/material")
    """Folder with the marked pages."""
    labels: Path = Path("tests/pipeline/wcxb_images.json")
    """Which pictures belong to the content on 40 pages of wcxb."""
    extra: Path | None = None
    """Folder of further marked pages, as `benchmarks.fixture_pages` makes it."""
    folds: int = 0
    """Measure by cross-validation in so many folds, and write nothing."""
    epochs: int = 8
    """Passes over all segments."""
    members: int = 1
    """Networks whose mean is taken."""
    widths: tuple[int, ...] = (48, 16)
    """Of the hidden layers."""
    dropout: float = 0.3
    """Share of inputs and of the first hidden layer that is dropped in training."""
    batch: int = 1024
    """Segments in a step."""
    rate: float = 6e-3
    """Highest learning rate."""
    seed: int = 0
    """Of initial weights, batches and folds."""


def text_weights(page: Prepared) -> Floats:
    """How much each segment counts: its words, tempered, and less on pages with many.

    Captions of news count for nothing: their labels hold the article's own text alone, and a page is more than that.
    Titles of taught and of further pages neither: Readability.js and newspapers' tests give them apart from the text.
    """
    weights = np.minimum(page.words, 200) ** 0.75 / (1 + page.words.sum() ** 0.5) * WEIGHT_OF_KIND.get(page.kind, 1.0)
    unknown = page.captions & (page.kind in ("news", "extra")) | page.titles & (page.kind in ("taught", "extra"))
    return np.where(unknown, 0, weights).astype(np.float32)


def fit(features: Floats, targets: Floats, weights: Floats, config: SalienceConfig) -> list[Network]:
    """Networks that give the logit of `targets`, from different initial weights and batches."""
    known = weights > 0
    x, y, w = (torch.from_numpy(values[known]) for values in (features, targets, weights))
    mean, scale = x.mean(0), x.std(0, correction=0) + 0.02
    x = (x - mean) / scale
    return [_fit_one(x, y, w, mean, scale, config, number) for number in range(config.members)]


def _fit_one(
    x: Tensor, y: Tensor, w: Tensor, mean: Tensor, scale: Tensor, config: SalienceConfig, number: int
) -> Network:
    torch.manual_seed(1000 * config.seed + number)
    layers: list[nn.Module] = []
    for depth, (inputs, outputs) in enumerate(pairwise([x.shape[1], *config.widths, 1])):
        layers += [nn.Dropout(config.dropout if depth < 2 else 0.0), nn.Linear(inputs, outputs), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    steps = max(300, config.epochs * len(x) // config.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.rate, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (config.batch,))
        losses = nn.functional.binary_cross_entropy_with_logits(network(x[rows])[:, 0], y[rows], reduction="none")
        loss = (losses * w[rows]).sum() / w[rows].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return _frozen(network, mean, scale)


def _frozen(network: nn.Module, mean: Tensor, scale: Tensor) -> Network:
    """The network in numpy, with the scaling of inputs in its first layer."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        linear[0].weight.div_(scale)
        linear[0].bias.sub_(linear[0].weight @ mean)
    return Network(
        layers=tuple((layer.weight.T.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in linear)
    )


def fit_text(pages: Sequence[Prepared], config: SalienceConfig) -> list[Network]:
    features, found = (np.concatenate([getattr(page, name) for page in pages]) for name in ("features", "found"))
    weights = np.concatenate([text_weights(page) for page in pages])
    return fit(features, found, weights, config)


def fit_images(pages: Sequence[Prepared], said: Sequence[Floats], config: SalienceConfig) -> list[Network]:
    """The networks of images, given what networks of text that did not see these pages said of them."""
    rows = [(page, values) for page, values in zip(pages, said, strict=True) if (page.pictures >= 0).any()]
    if not rows:
        raise InputError(f"none of {len(pages)} pages to train on has marked pictures; use fewer folds or more pages")
    features = np.concatenate([_of_media(page, values) for page, values in rows])
    targets = np.concatenate([page.pictures[media_of(page)] for page, _ in rows])
    weights = np.concatenate([image_weights(page) for page, _ in rows])
    return fit(
        features, np.maximum(targets, 0), weights, replace(config, members=3, widths=(64, 16), epochs=30, dropout=0.5)
    )


def image_weights(page: Prepared) -> Floats:
    """How much each medium counts: less on pages with many."""
    known = (page.pictures >= 0)[media_of(page)]
    return (known / np.sqrt(max(1, known.sum())) * page.weight_of_pictures).astype(np.float32)


def _of_media(page: Prepared, said: Floats) -> Floats:
    return image_features(page.segments, page.containers, page.features, said, page.words, media_of(page))


def fit_by_folds(
    pages: Sequence[Prepared], config: SalienceConfig, folds: int
) -> tuple[NDArray[np.int64], list[Models], list[Floats]]:
    """Models for each fold of `pages` that were not trained on it.

    Returns int64[page], the fold of each page; the models of each fold; and what these say of the text of each page.
    """
    fold = np.random.default_rng(config.seed).permutation(len(pages)) % folds
    said: list[Floats] = [np.zeros(0, np.float32)] * len(pages)
    texts: list[list[Network]] = []
    for number in range(folds):
        texts.append(fit_text([page for page, own in zip(pages, fold, strict=True) if own != number], config))
        for index in np.flatnonzero(fold == number).tolist():
            page = pages[index]
            said[index] = whole_tables(page.containers, chances(texts[-1], page.features), page.words)
    models: list[Models] = []
    for number in range(folds):
        others = np.flatnonzero(fold != number).tolist()
        images = fit_images([pages[index] for index in others], [said[index] for index in others], config)
        models.append({"text": texts[number], "image": images})
    return fold, models, said


def prepared_pages(config: SalienceConfig) -> list[Prepared]:
    """All pages to train on that hold anything."""
    marked = with_taught(read_pages(config.material, config.labels, config.extra), config.extra)
    return [prepared for page in marked if (prepared := prepare(page))]


def held_out_models(config: SalienceConfig, folds: int) -> dict[str, Models]:
    """Models for every marked page, by its id, that were not trained on it."""
    pages = prepared_pages(config)
    fold, models, _ = fit_by_folds(pages, config, folds)
    return {page.id: models[own] for page, own in zip(pages, fold.tolist(), strict=True)}


def print_scores(pages: Sequence[Prepared], said: Sequence[Floats]) -> None:
    """F1 of words by kind of page."""
    scores: dict[str, list[float]] = {}
    for page, values in zip(pages, said, strict=True):
        keep = best_choice(values, page.words)
        have = sum((bag for bag, kept in zip(page.bags, keep, strict=True) if kept), Counter[str]())
        common = (have & page.wanted).total()
        scores.setdefault(page.kind, []).append(2 * common / max(1, have.total() + page.wanted.total()))
    for kind, values in sorted(scores.items()):
        print(f"{kind}: {np.mean(values):.4f} on {len(values)} pages")


def write_weights(models: Models, path: Path) -> None:
    """Four significant digits of each weight: small enough to read and to keep in git."""

    def rounded(values: Floats) -> Any:
        return json.loads(json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.4g}"))

    record = {
        name: [[[rounded(weights), rounded(biases)] for weights, biases in network.layers] for network in ensemble]
        for name, ensemble in models.items()
    }
    path.write_text(json.dumps(record, separators=(",", ":")).replace("],[", "],\n[") + "\n")


def run(config: SalienceConfig) -> None:
    pages = prepared_pages(config)
    _, _, said = fit_by_folds(pages, config, config.folds or 5)
    print_scores(pages, said)
    if not config.folds:
        write_weights({"text": fit_text(pages, config), "image": fit_images(pages, said, config)}, WEIGHTS)


if __name__ == "__main__":
    raise SystemExit(run_command(SalienceConfig, run, __doc__ or ""))
