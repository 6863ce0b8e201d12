"""From a document to a training sample, by the paper's rules (arXiv 2204.14198, sections 2.4, 3.1.2 and A.3).

Every random choice is a function of (seed, document key, epoch) alone, so a run that is resumed, or spread over
other workers, makes the same ones.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from model.language import END_OF_CHUNK_TOKEN, IMAGE_TOKEN, token_id
from model.loss import IGNORED
from shards.document import Block, Document, Frame, Media, Text
from shards.errors import DatasetError

Ids = NDArray[np.int64]
Kind = Literal["interleaved", "pair", "video"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the model is shown of one document."""

    key: str
    input_ids: Ids
    """int64[text]."""
    media_index: Ids
    """int64[text]: which of `media` the token attends to (phi), -1 for none."""
    labels: Ids
    """int64[text]: the token itself, -100 at `<image>`, whose loss is left out."""
    media: tuple[tuple[Frame, ...], ...]
    """The frames of each medium; an image has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokenizer, and the ids of the tokens that give a document its shape."""

    tokenizer: PreTrainedTokenizerBase
    image: int
    end_of_chunk: int

    @property
    def beginning(self) -> list[int]:
        return _optional(self.tokenizer.bos_token_id)

    @property
    def end(self) -> list[int]:
        return _optional(self.tokenizer.eos_token_id)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; a literal `<image>` or `<EOC>` in it is left out, since no medium stands behind it."""
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return [i for i in ids if i not in (self.image, self.end_of_chunk)]


def vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """The vocabulary of a Flamingo's tokenizer, which knows `<image>` and `<EOC>`."""
    return Vocabulary(
        tokenizer=tokenizer,
        image=token_id(tokenizer, IMAGE_TOKEN),
        end_of_chunk=token_id(tokenizer, END_OF_CHUNK_TOKEN),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Random numbers that (seed, document key, epoch) decide, each by its own name."""

    seed: int
    key: str
    epoch: int

    def uniform(self, choice: str) -> float:
        """A number in [0, 1) for the choice of that name."""
        digest = hashlib.sha256(f"{self.seed}/{self.key}/{self.epoch}/{choice}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def below(self, choice: str, stop: int) -> int:
        """One of 0 ... stop - 1, each as likely."""
        return int(self.uniform(choice) * stop)


def make_sample(document: Document, rule: SamplingRule, vocabulary: Vocabulary, chance: Chance) -> Sample:
    """The sample that `chance` picks from `document`.

    Raises DatasetError if the document is not of the rule's kind.
    """
    if rule.kind == "interleaved":
        return _sample_page(document, rule, vocabulary, chance)
    return _sample_pair(document, rule, vocabulary, chance)


def _sample_pair(document: Document, rule: SamplingRule, vocabulary: Vocabulary, chance: Chance) -> Sample:
    """`<BOS><image>text<EOC><EOS>`, with a leading space before the text with p = 0.5.

    A text that is too long is cut before its `<EOC>`, so that none is learnt in the middle of a sentence.
    """
    wanted = "video" if rule.kind == "video" else "image"
    if [media.kind for media in document.media] != [wanted]:
        raise DatasetError(
            f"document {document.key} of {document.source!r} holds {len(document.media)} media and a dataset of kind "
            f"{rule.kind!r} needs documents with exactly 1 {wanted}; choose another kind for this dataset"
        )
    text = " " * (chance.uniform("leading space") < 0.5) + _join(document.texts)
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


def choose_window(is_image: NDArray[np.bool_], length: int, uniform: float) -> int:
    """Where a window of `length` tokens starts in bool[text]: each start whose window holds an image is as likely."""
    images_before = np.concatenate(([0], np.cumsum(is_image)))
    last = max(0, len(is_image) - length)
    starts = np.arange(last + 1)
    holds_image = images_before[np.minimum(starts + length, len(is_image))] > images_before[starts]
    candidates = np.flatnonzero(holds_image) if holds_image.any() else starts
    return int(candidates[int(uniform * len(candidates))])


def attended_media(is_image: NDArray[np.bool_], attend_next: bool) -> Ids:
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


def _sample(
    key: str,
    input_ids: Ids,
    media: Sequence[Media],
    attend_next: bool,
    rule: SamplingRule,
    vocabulary: Vocabulary,
    chance: Chance,
) -> Sample:
    is_image = input_ids == vocabulary.image
    return Sample(
        key=key,
        input_ids=input_ids,
        media_index=attended_media(is_image, attend_next),
        labels=np.where(is_image, IGNORED, input_ids),
        media=tuple(
            choose_frames(medium, rule.max_frames, chance.uniform(f"frames {number}"))
            for number, medium in enumerate(media)
        ),
    )


def _join(texts: Sequence[Text]) -> str:
    return PARAGRAPH.join(text.text for text in texts)


def _optional(token: object) -> list[int]:
    return [token] if isinstance(token, int) else []
