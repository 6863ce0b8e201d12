"""The scores of one shard: its documents in groups, their pictures in batches, decoded a group ahead of the models.

Groups and batches follow from the shard alone, so that its scores do not depend on how many actors there are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from pipeline.careful import Crashed
from pipeline.curation.judge import paragraphs_of
from pipeline.pixels import Pixels, frame_pixels
from pipeline.scoring.config import ScoringConfig
from pipeline.scoring.images import ImageScorer, Size, open_classifier, open_detector
from pipeline.scoring.models import Inputs
from pipeline.scoring.placement import PlacedImage, images_of, near
from pipeline.scoring.scores import SIMILARITY, Score
from pipeline.scoring.similarity import TwoTowers, embed_images, embed_texts, open_towers
from shards.document import Document, Frame

Thing = TypeVar("Thing")
Result = TypeVar("Result")
DECODED_SIDE = 512
"""Pictures are decoded no larger than they are stored by default: models take 224 to 448 pixels."""
Decode = Callable[[Frame, int], Pixels]
"""`frame_pixels`, wherever it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models of a config, loaded."""

    scorers: list[ImageScorer]
    towers: TwoTowers | None
    config: ScoringConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Pictures that were decoded, and what each model is given of them."""

    images: list[tuple[Document, PlacedImage]]
    sizes: list[Size]
    inputs: list[Inputs]
    """For each scorer, then for the towers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Documents whose pictures are scored together."""

    documents: list[Document]
    batches: list[Batch]
    unscored: list[tuple[Document, PlacedImage]]
    """Pictures that could not be decoded."""


def open_models(config: ScoringConfig, device: torch.device) -> Models:
    """Raises ModelError if a model cannot be loaded, or is not what it is asked to be."""
    return Models(
        scorers=[
            *(open_classifier(classifier, device) for classifier in config.classifiers),
            *(open_detector(detector, device) for detector in config.detectors),
        ],
        towers=open_towers(config.similarity, device) if config.similarity else None,
        config=config,
    )


def score_documents(
    models: Models, documents: Iterable[Document], counts: Counter[str], decode: Decode = frame_pixels
) -> Iterator[Score]:
    """The scores of the images of `documents`; counts `images`, `unscored`, `texts` and `texts_cut`."""
    groups = _in_groups(documents, models.config.batch)
    for group in _ahead(groups, lambda documents: _prepare(models, documents, decode)):
        for document, image in group.unscored:
            counts["unscored"] += 1
            yield Score(key=document.key, medium=image.medium, name="unscored", value=1.0)
        features = dict[tuple[str, int], Tensor]()
        for batch in group.batches:
            counts["images"] += len(batch.images)
            yield from _score(models, batch)
            if models.towers:
                vectors = embed_images(models.towers, batch.inputs[-1])
                names = [(document.key, image.medium) for document, image in batch.images]
                features.update(zip(names, vectors, strict=True))
        if models.towers:
            for document in group.documents:
                yield from _compare(models, models.towers, document, features, counts)


def _score(models: Models, batch: Batch) -> Iterator[Score]:
    """What each model that judges images alone says of those of `batch`."""
    results = [
        scorer.score(inputs, batch.sizes)
        for scorer, inputs in zip(models.scorers, batch.inputs[: len(models.scorers)], strict=True)
    ]
    for place, (document, image) in enumerate(batch.images):
        measures = {"unscored": 0.0} | {name: value for result in results for name, value in result[place].items()}
        for name, value in measures.items():
            yield Score(key=document.key, medium=image.medium, name=name, value=value)


def _compare(
    models: Models, towers: TwoTowers, document: Document, features: dict[tuple[str, int], Tensor], counts: Counter[str]
) -> Iterator[Score]:
    """The similarity of each image of `document` to each paragraph near it."""
    similarity, texts = models.config.similarity, paragraphs_of(document)
    nearby = similarity.nearby if similarity else None
    images = [image for image in images_of(document) if (document.key, image.medium) in features]
    numbers = sorted({number for image in images for number in near(image, len(texts), nearby)})
    if not numbers:
        return
    vectors, cut = embed_texts(towers, [texts[number] for number in numbers], models.config.batch)
    counts.update(texts=len(numbers), texts_cut=cut)
    cosines = torch.stack([features[document.key, image.medium] for image in images]) @ vectors.T
    for image, row in zip(images, cosines.clamp(-1, 1).tolist(), strict=True):
        by_number = dict(zip(numbers, row, strict=True))
        for number in near(image, len(texts), nearby):
            value = by_number[number]
            yield Score(key=document.key, medium=image.medium, name=SIMILARITY, value=value, paragraph=number)


def _prepare(models: Models, documents: list[Document], decode: Decode) -> Group:
    decoded, unscored = list[tuple[Document, PlacedImage, Pixels]](), list[tuple[Document, PlacedImage]]()
    for document in documents:
        for image in images_of(document):
            try:
                decoded.append((document, image, decode(image.frame, DECODED_SIDE)))
            except (ValueError, Crashed):
                unscored.append((document, image))
    size = models.config.batch
    batches = [_batch(models, decoded[start : start + size]) for start in range(0, len(decoded), size)]
    return Group(documents=documents, batches=batches, unscored=unscored)


def _batch(models: Models, decoded: Sequence[tuple[Document, PlacedImage, Pixels]]) -> Batch:
    pictures = [pixels for _, _, pixels in decoded]
    prepares = [scorer.prepare for scorer in models.scorers] + ([models.towers.model.prepare] if models.towers else [])
    return Batch(
        images=[(document, image) for document, image, _ in decoded],
        sizes=[(pixels.shape[0], pixels.shape[1]) for pixels in pictures],
        inputs=[prepare(pictures) for prepare in prepares],
    )


def _in_groups(documents: Iterable[Document], images: int) -> Iterator[list[Document]]:
    """Runs of documents with `images` images or a few more; those without any are left out."""
    group, held = list[Document](), 0
    for document in documents:
        if count := len(images_of(document)):
            group.append(document)
            held += count
        if held >= images:
            yield group
            group, held = [], 0
    if group:
        yield group


def _ahead(things: Iterable[Thing], function: Callable[[Thing], Result]) -> Iterator[Result]:
    """`function` of each of `things` in order, of one ahead of what is taken, on a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        pending = None
        for thing in things:
            following = pool.submit(function, thing)
            if pending:
                yield pending.result()
            pending = following
        if pending:
            yield pending.result()
