"""Trains the content model of `pipeline.salience` on pages whose content people marked, and writes salience.json.

Three sets of `../shared/material/pages` give text: wcxb, aeb (article text by hand) and readability (content accepted
by hand). readability and the labels of tests/pipeline/wcxb_images.json give images. `--folds 5` measures by
cross-validation over pages instead of writing.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import lxml.html
import numpy as np
import torch
from torch import Tensor, nn

from jobs.command import run_command
from pipeline.features import Floats, text_features
from pipeline.markup import base_address, decode, parse
from pipeline.salience import WEIGHTS, best_choice, image_features
from pipeline.segments import Segments, cut

WORD = re.compile(r"\w+")
WEIGHT_OF_KIND = {"article": 2.5, "news": 4.0, "readability": 1.5}
"""Articles are more than half of the web that WCXB was drawn from, and a seventh of its open part."""


@dataclass(frozen=True, kw_only=True)
class SalienceConfig:
    """How the content model is trained."""

    material: Path = Path("../shared/material")
    """Folder with the marked pages."""
    labels: Path = Path("tests/pipeline/wcxb_images.json")
    """Which pictures belong to the content on 40 pages of wcxb."""
    folds: int = 0
    """Measure by cross-validation in so many folds, and write nothing."""
    epochs: int = 8
    """Passes over all segments."""
    width: int = 48
    """Of the first hidden layer."""
    seed: int = 0
    """Of initial weights, batches and folds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A page whose content is marked."""

    id: str
    kind: str
    url: str
    html: bytes
    content: str
    pictures: frozenset[str] | None
    """Addresses of the content's pictures; None where nobody marked them."""
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A page as the model sees it."""

    kind: str
    segments: Segments
    features: Floats
    words: Floats
    found: Floats
    """Share of each segment's words that the marked content has in this place."""
    pictures: Floats
    """1 for pictures of the content, 0 for others, -1 where unknown."""
    bags: list[Counter[str]]
    wanted: Counter[str]


def read_pages(config: SalienceConfig) -> Iterator[Marked]:
    """All marked pages of the material."""
    labels = json.loads(config.labels.read_text())["pages"]
    pages = config.material / "pages"
    for folder, kind in (("wcxb", None), ("aeb", "news")):
        for name, item in json.loads((pages / folder / "ground-truth.json").read_text()).items():
            path = pages / folder / f"{name}.html.gz"
            if path.exists():
                label = labels.get(name) if folder == "wcxb" else None
                yield Marked(
                    id=name,
                    kind=kind or item["page_type"],
                    url=item.get("url") or "",
                    html=gzip.decompress(path.read_bytes()),
                    content=item["articleBody"],
                    pictures=frozenset(chain.from_iterable(label["content"])) if label else None,
                    optional=frozenset(chain.from_iterable(label.get("optional", []))) if label else frozenset(),
                )
    for folder in sorted((pages / "readability").iterdir()):
        if (folder / "source.html").exists():
            url = json.loads((folder / "meta.json").read_text())["url"]
            expected = lxml.html.document_fromstring((folder / "expected.html").read_bytes().decode("utf-8", "replace"))
            yield Marked(
                id=folder.name,
                kind="readability",
                url=url,
                html=(folder / "source.html").read_bytes(),
                content="\n".join(expected.itertext()),
                pictures=frozenset(address for image in expected.iter("img") for address in _addresses(image, url)),
            )


def prepare(page: Marked) -> Prepared | None:
    """Features and targets of `page`; None if nothing is on it."""
    tree = parse(decode(page.html, None)[0])
    segments = cut(tree)
    if not len(segments):
        return None
    words, owners = [], []
    for number, text in enumerate(segments.texts):
        for word in WORD.findall(text.lower()):
            words.append(word)
            owners.append(number)
    wanted = WORD.findall(page.content.lower())
    hits, counts = np.zeros(len(segments), np.float32), np.bincount(owners, minlength=len(segments))
    for match in SequenceMatcher(None, words, wanted, autojunk=False).get_matching_blocks():
        np.add.at(hits, owners[match.a : match.a + match.size], 1)
    base = base_address(tree, page.url)
    return Prepared(
        kind=page.kind,
        segments=segments,
        features=text_features(segments, page.html, page.url),
        words=counts.astype(np.float32),
        found=(hits / np.maximum(counts, 1)).astype(np.float32),
        pictures=np.asarray([_picture_target(image, page, base) for image in segments.elements], np.float32),
        bags=[Counter(WORD.findall(text.lower())) for text in segments.texts],
        wanted=Counter(wanted),
    )


def _picture_target(image: Any, page: Marked, base: str) -> float:
    if image is None or page.pictures is None:
        return -1.0
    addresses = set(_addresses(image, base))
    if addresses & page.optional:
        return -1.0
    return float(bool(addresses & page.pictures))


def _addresses(image: Any, base: str) -> Iterator[str]:
    """Everything in the attributes of an image, and of its `<picture>`, that may be its address, absolute."""
    picture = next(image.iterancestors("picture"), None)
    for element in (image, *(picture.iter("source") if picture is not None else ())):
        for name, value in element.attrib.items():
            for word in re.split(r",\s+", value) if "srcset" in name else [value]:
                if word.strip() and name not in ("alt", "title", "class", "id", "style"):
                    try:
                        yield urljoin(base, word.split()[0])
                    except ValueError:
                        continue


def text_weights(page: Prepared) -> Floats:
    """How much each segment counts: its words, tempered, and less on pages with many."""
    return (
        np.minimum(page.words, 200) ** 0.75 / (1 + page.words.sum() ** 0.5) * WEIGHT_OF_KIND.get(page.kind, 1.0)
    ).astype(np.float32)


def fit(features: Floats, targets: Floats, weights: Floats, widths: Sequence[int], epochs: int, seed: int) -> nn.Module:
    """A network that gives the logit of `targets`, with inputs scaled inside its first layer."""
    torch.manual_seed(seed)
    known = weights > 0
    x, y, w = (torch.from_numpy(values[known]) for values in (features, targets, weights))
    mean, scale = x.mean(0), x.std(0) + 0.02
    x = (x - mean) / scale
    sizes = [x.shape[1], *widths, 1]
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers += [nn.Dropout(0.3 if number < 2 else 0.0), nn.Linear(inputs, outputs), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    batch = 512
    steps = max(300, epochs * len(x) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,))
        losses = nn.functional.binary_cross_entropy_with_logits(network(x[rows])[:, 0], y[rows], reduction="none")
        loss = (losses * w[rows]).sum() / w[rows].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return _unscaled(network.eval(), mean, scale)


def _unscaled(network: nn.Module, mean: Tensor, scale: Tensor) -> nn.Module:
    first = next(module for module in network.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        first.weight.div_(scale)
        first.bias.sub_(first.weight @ mean)
    return network


def chances(network: nn.Module, features: Floats) -> Floats:
    with torch.no_grad():
        return torch.sigmoid(network(torch.from_numpy(features))[:, 0]).numpy()


def fit_text(pages: Sequence[Prepared], config: SalienceConfig) -> nn.Module:
    features, found = (np.concatenate([getattr(page, name) for page in pages]) for name in ("features", "found"))
    weights = np.concatenate([text_weights(page) for page in pages])
    return fit(features, found, weights, [config.width, 16], config.epochs, config.seed)


def fit_images(pages: Sequence[Prepared], said: Sequence[Floats], config: SalienceConfig) -> nn.Module:
    """The network of images, given what a network of text that did not see these pages said of them."""
    rows = [(page, values) for page, values in zip(pages, said, strict=True) if (page.pictures >= 0).any()]
    features = np.concatenate([image_features(page.segments, values, page.words) for page, values in rows])
    targets = np.concatenate([page.pictures for page, _ in rows])
    weights = np.concatenate([(page.pictures >= 0) / np.sqrt((page.pictures >= 0).sum()) for page, _ in rows])
    return fit(features, np.maximum(targets, 0), weights.astype(np.float32), [16], config.epochs, config.seed)


def say_by_folds(pages: Sequence[Prepared], config: SalienceConfig, folds: int) -> list[Floats]:
    """What networks of text say of pages that they were not trained on."""
    fold = np.random.default_rng(config.seed).permutation(len(pages)) % folds
    said: list[Floats] = [np.zeros(0, np.float32)] * len(pages)
    for number in range(folds):
        network = fit_text([page for page, own in zip(pages, fold, strict=True) if own != number], config)
        for index in np.flatnonzero(fold == number).tolist():
            said[index] = chances(network, pages[index].features)
    return said


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


def write_weights(networks: dict[str, nn.Module], path: Path) -> None:
    """Four significant digits of each weight: small enough to read and to keep in git."""

    def rounded(values: Tensor) -> Any:
        return json.loads(json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.4g}"))

    record = {
        name: [
            [rounded(module.weight.T), rounded(module.bias)]
            for module in network.modules()
            if isinstance(module, nn.Linear)
        ]
        for name, network in networks.items()
    }
    path.write_text(json.dumps(record, separators=(",", ":")).replace("],[", "],\n[") + "\n")


def run(config: SalienceConfig) -> None:
    pages = [prepared for page in read_pages(config) if (prepared := prepare(page))]
    said = say_by_folds(pages, config, config.folds or 5)
    print_scores(pages, said)
    if not config.folds:
        write_weights({"text": fit_text(pages, config), "image": fit_images(pages, said, config)}, WEIGHTS)


if __name__ == "__main__":
    raise SystemExit(run_command(SalienceConfig, run, __doc__ or ""))
