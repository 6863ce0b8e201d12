"""Recall and precision of images on the pages of wcxb whose pictures were labelled by hand."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.pages import SavedPage
from benchmarks.peers import Block
from pipeline.addresses import canonical

Groups = list[list[str]]


def score_labelled(
    labels: Path, pages: Sequence[SavedPage], predictions: Mapping[str, Sequence[Block]]
) -> dict[str, dict[str, float]]:
    """`image_recall`, `image_precision`, `images_expected` and `pages` by page type, and over all of them.

    A picture of the content is found when an image block names any of its addresses. Precision is the share of
    pictures found among all image blocks, so a picture that is named twice counts against it; a block that names an
    `optional` picture counts neither way.
    """
    labelled = json.loads(labels.read_text(encoding="utf-8"))["pages"]
    counts: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for page in pages:
        if page.id in labelled:
            counted = _count(page, labelled[page.id], predictions[page.id])
            counts[page.kind].append(counted)
            counts["all"].append(counted)
    return {kind: _figures(rows) for kind, rows in sorted(counts.items())}


def _count(page: SavedPage, labels: Mapping[str, Groups], blocks: Sequence[Block]) -> tuple[int, int, int]:
    """How many pictures were expected, named, and found."""
    images = [block for block in blocks if block["type"] == "image"]
    named = [_spelt([block["url"], *block["alternatives"]], page.url) for block in images]
    content = [_spelt(group, page.url) for group in labels["content"]]
    optional = {address for group in labels.get("optional", []) for address in _spelt(group, page.url)}
    firsts = [next((n for n, group in enumerate(content) if group & addresses), None) for addresses in named]
    free = sum(first is None and bool(addresses & optional) for first, addresses in zip(firsts, named, strict=True))
    return len(content), len(named) - free, len(set(firsts) - {None})


def _spelt(addresses: Sequence[str], base: str) -> set[str]:
    return {spelt for address in addresses if (spelt := canonical(address, base))}


def _figures(rows: Sequence[tuple[int, int, int]]) -> dict[str, float]:
    expected, named, found = (sum(column) for column in zip(*rows, strict=True))
    return {
        "image_recall": round(found / max(1, expected), 4),
        "image_precision": round(found / max(1, named), 4),
        "images_expected": expected,
        "pages": len(rows),
    }
