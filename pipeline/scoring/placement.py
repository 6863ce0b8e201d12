"""Where images stand among the paragraphs of their document: in the order of the page, or where they agree most.

MMC4 forgets the page's order and gives each paragraph at most one image, so that the similarities add up to the most
(section 3 of its paper; allenai/mmc4, scripts/compute_assignments.py). Its images stand before their text.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from shards.document import Block, Document, Frame, Media, Text

Similarity = Mapping[tuple[int, int], float]
"""Cosines by the image's place among the media and the paragraph's among the paragraphs; not all were taken."""
NOT_TAKEN = -1000.0
"""Stands for a similarity that was not taken: no sum of those that were is so small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedImage:
    """An image of a document."""

    medium: int
    """Its place among the media."""
    before: int
    """How many paragraphs stand before it."""
    frame: Frame


def images_of(document: Document) -> list[PlacedImage]:
    """The images of `document`, in order."""
    images, paragraphs, media = list[PlacedImage](), 0, 0
    for block in document.blocks:
        if isinstance(block, Text):
            paragraphs += len(block.text.split("\n\n"))
            continue
        if block.kind == "image":
            images.append(PlacedImage(medium=media, before=paragraphs, frame=block.frames[0]))
        media += 1
    return images


def near(image: PlacedImage, paragraphs: int, nearby: int | None) -> range:
    """Which of a document's `paragraphs` are compared with `image`: `nearby` on each side, or all."""
    if nearby is None:
        return range(paragraphs)
    return range(max(0, image.before - nearby), min(paragraphs, image.before + nearby))


def assign(similarity: Similarity, images: Collection[int], paragraphs: Collection[int]) -> dict[int, int]:
    """The paragraph of each of `images`: no paragraph twice, and the sum of their similarities as large as can be.

    Images that are left over, because there are more of them than paragraphs or others took all that they were
    compared with, go to the paragraph that they are most similar to, as in MMC4. One that was compared with none of
    `paragraphs` is left out.
    """
    rows, columns = sorted(images), sorted(paragraphs)
    table = _table(similarity, rows, columns)
    if not table.size:
        return {}
    chosen = dict(zip(*linear_sum_assignment(table, maximize=True), strict=True))
    places = {row: chosen.get(row, -1) for row in range(len(rows))}
    best = {
        row: place if place >= 0 and table[row, place] > NOT_TAKEN else int(table[row].argmax())
        for row, place in places.items()
    }
    return {rows[row]: columns[place] for row, place in best.items() if table[row, place] > NOT_TAKEN}


def _table(similarity: Similarity, rows: Sequence[int], columns: Sequence[int]) -> npt.NDArray[np.float64]:
    values = [[similarity.get((row, column), NOT_TAKEN) for column in columns] for row in rows]
    return np.array(values, np.float64).reshape(len(rows), len(columns))


def in_assigned_order(blocks: Iterable[tuple[int, Block]], assigned: Mapping[int, int]) -> list[Block]:
    """`blocks` with each medium that is in `assigned` before its paragraph; the others stay where they stand.

    A block is a paragraph or a medium, with its place among those of the document, of which some may be missing.
    """
    keyed, behind = list[tuple[tuple[int, int, int], Block]](), -1
    for order, (number, block) in enumerate(blocks):
        if isinstance(block, Media):
            key = (assigned[number], 0, number) if number in assigned else (behind, 2, order)
        else:
            key, behind = (number, 1, order), number
        keyed.append((key, block))
    return [block for _, block in sorted(keyed, key=lambda pair: pair[0])]
