"""From a document to a training sample, by the paper's rules (arXiv 2204.14198, sections 2.4, 3.1.2 and A.3).

Every random choice is a function of (seed, document key, epoch) alone, so a run that is resumed, or spread over
other workers, makes the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shards.document import Block, Document, Frame, Media, Text
from shards.errors import DatasetError
from training.data.appearance import UNCHANGED, Appearance, choose_appearance
from training.data.chance import Chance
from training.data.vocabulary import Vocabulary

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]
Kind = Literal["interleaved", "pair", "video"]
LossMask = Literal["paper", "openflamingo"]
PARAGRAPH = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRule:
    """How the documents of one dataset become samples."""

    kind: Kind
    max_text: int
    """Tokens of a sample, special ones included."""
    max_images: int
    """Media of an interleaved sample."""
    max_frames: int
    """Frames of a video."""
    next_image_chance: float
    """p_next: the chance that a page's text attends to the image after it instead of the one before it."""
    loss_mask: LossMask
    """Which tokens are trained on, see `trained_tokens`."""
    leading_space_chance: float
    """The chance of a space before the text of a pair or video."""
    flip_chance: float
    """The chance that the picture of a pair is mirrored."""
    colour_jitter: float
    """How far brightness, contrast and saturation of a pair's picture may be changed, as a share of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the model is shown of one document."""

    key: str
    input_ids: Ids
    """int64[text]."""
    media_index: Ids
    """int64[text]: which of `media` the token attends to (phi), -1 for none."""
    trained: Mask
    """bool[text]: which tokens the loss is taken of; never the first, which nothing predicts."""
    attends_next: bool
    """Whether texts attend to the medium after them instead of the one before them."""
    media: tuple[tuple[Frame, ...], ...]
    """The frames of each medium; an image has one."""
    appearance: Appearance = UNCHANGED
    """How the pictures are changed before they are shown."""


def make_sample(document: Document, rule: SamplingRule, vocabulary: Vocabulary, chance: Chance) -> Sample:
    """The sample that `chance` picks from `document`.

    Raises DatasetError if the document is not of the rule's kind.
    """
    if rule.kind == "interleaved":
        return _sample_page(document, rule, vocabulary, chance)
    return _sample_pair(document, rule, vocabulary, chance)


def _sample_pair(document: Document, rule: SamplingRule, vocabulary: Vocabulary, chance: Chance) -> Sample:
    """`<BOS><image>text<EOC><EOS>`, with a leading space before the text with the rule's chance.

    A text that is too long is cut before its `<EOC>`, so that none is learnt in the middle of a sentence.
    """
    wanted = "video" if rule.kind == "video" else "image"
    if [media.kind for media in document.media] != [wanted]:
        raise DatasetError(
            f"document {document.key} of {document.source!r} holds {len(document.media)} media and a dataset of kind "
            f"{rule.kind!r} needs documents with exactly 1 {wanted}; choose another kind for this dataset"
        )
    text = " " * (chance.uniform("leading space") < rule.leading_space_chance) + _join(document.texts)
    ids = [
        *vocabulary.beginning,
        vocabulary.image,
        *vocabulary.encode(text),
        vocabulary.end_of_chunk,
        *vocabulary.end,
    ]
    input_ids = np.array(ids[: rule.max_text], dtype=np.int64)
    return _sample(document.key, input_ids, document.media, False, rule, vocabulary, chance)


def _sample_page(document: Document, rule: SamplingRule, vocabulary: Vocabulary, chance: Chance) -> Sample:
    """A random window of the page and its first images; the window ends before the first image too many.

    Windows without an image are not chosen (unless the page has none), since nothing is trained on them.
    """
    ids = np.array(lay_out(document.blocks, vocabulary), dtype=np.int64)
    start = choose_window(ids == vocabulary.image, rule.max_text, chance.uniform("window"))
    window = ids[start : start + rule.max_text]
    marks = np.flatnonzero(window == vocabulary.image)
    if len(marks) > rule.max_images:
        window = window[: marks[rule.max_images]]
    first = int((ids[:start] == vocabulary.image).sum())
    media = document.media[first : first + min(len(marks), rule.max_images)]
    attend_next = chance.uniform("next image") < rule.next_image_chance
    return _sample(document.key, window, media, attend_next, rule, vocabulary, chance)


def lay_out(blocks: Sequence[Block], vocabulary: Vocabulary) -> list[int]:
    """The ids of a whole page: `<EOC>` before each `<image>` and before the end, where there is a chunk to end.

    A page that begins with an image begins `<BOS><image>`, as a pair does.
    """
    ids = list(vocabulary.beginning)
    texts: list[Text] = []
    for block in blocks:
        if isinstance(block, Text):
            texts.append(block)
        else:
            ids += vocabulary.encode(_join(texts))
            texts.clear()
            if len(ids) > len(vocabulary.beginning):
                ids.append(vocabulary.end_of_chunk)
            ids.append(vocabulary.image)
    return [*ids, *vocabulary.encode(_join(texts)), vocabulary.end_of_chunk, *vocabulary.end]


def choose_window(is_image: Mask, length: int, uniform: float) -> int:
    """Where a window of `length` tokens starts in bool[text]: each start whose window holds an image is as likely."""
    images_before = np.concatenate(([0], np.cumsum(is_image)))
    last = max(0, len(is_image) - length)
    starts = np.arange(last + 1)
    holds_image = images_before[np.minimum(starts + length, len(is_image))] > images_before[starts]
    candidates = np.flatnonzero(holds_image) if holds_image.any() else starts
    return int(candidates[int(uniform * len(candidates))])


def attended_media(is_image: Mask, attend_next: bool) -> Ids:
    """int64[text]: phi, the last medium at or before each token, or the first at or after it; -1 for none.

    An `<image>` token attends to its own medium either way.
    """
    seen = np.cumsum(is_image)
    if not attend_next:
        return seen - 1
    following = seen - is_image
    return np.where(following < seen[-1], following, -1)


def choose_frames(media: Media, number: int, uniform: float) -> tuple[Frame, ...]:
    """`number` consecutive frames from a random start, or all where there are fewer."""
    start = int(uniform * max(1, len(media.frames) - number + 1))
    return media.frames[start : start + number]


def trained_tokens(input_ids: Ids, vocabulary: Vocabulary, rule: SamplingRule) -> Mask:
    """bool[text]: the tokens that the loss is taken of.

    `paper`: all but `<image>`. `openflamingo` leaves out of a page also what stands before its first `<image>`, and
    between an `<EOC>` and the next `<image>` (open_flamingo 2.0.1, train/train_utils.py, train_one_epoch).
    """
    trained = input_ids != vocabulary.image
    trained[:1] = False
    if rule.loss_mask == "openflamingo" and rule.kind == "interleaved":
        # Per token: the last <image> or <EOC> before it, by position; -1 where there is none.
        place = np.arange(len(input_ids))
        image, end = (_last_before(place, input_ids == token) for token in (vocabulary.image, vocabulary.end_of_chunk))
        trained &= image > end
    return trained


def _last_before(place: Ids, marked: Mask) -> Ids:
    """int64[text]: the last marked place in front of each token, -1 for none. Example: marks 0 1 0 give -1 -1 1."""
    last = np.maximum.accumulate(np.where(marked, place, -1))
    return np.concatenate(([-1], last[:-1]))


def _sample(
    key: str,
    input_ids: Ids,
    media: Sequence[Media],
    attends_next: bool,
    rule: SamplingRule,
    vocabulary: Vocabulary,
    chance: Chance,
) -> Sample:
    return Sample(
        key=key,
        input_ids=input_ids,
        media_index=attended_media(input_ids == vocabulary.image, attends_next),
        trained=trained_tokens(input_ids, vocabulary, rule),
        attends_next=attends_next,
        media=tuple(
            choose_frames(medium, rule.max_frames, chance.uniform(f"frames {number}"))
            for number, medium in enumerate(media)
        ),
        appearance=choose_appearance(rule.flip_chance, rule.colour_jitter, chance)
        if rule.kind == "pair"
        else UNCHANGED,
    )


def _join(texts: Sequence[Text]) -> str:
    return PARAGRAPH.join(text.text for text in texts)
