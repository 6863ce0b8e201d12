"""The honest test: captions for digits that no page, pair or video showed, with the right, a blank and a wrong image.

A model that does not look can only guess one digit in ten; one that looks names the digit that it is shown, also
where that is not the digit that was asked about.
"""

import re
from collections.abc import Iterator, Sequence
from random import Random

from PIL import Image

from demo.digits import WORDS, Digit, draw, encode, split_digits
from demo.findings import Answer
from model.flamingo import Flamingo
from model.language import IMAGE_TOKEN
from model.prompt import Prompt, prompt_batch

BATCH = 60
CAPTION_TOKENS = 24
DIGIT_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")


def answer_held_out(flamingo: Flamingo, seed: int = 0) -> list[Answer]:
    """An Answer for each held-out digit; its wrong image is another held-out digit that shows another value."""
    _, held_out = split_digits()
    random = Random(seed)
    wrong = [random.choice([other for other in held_out if other.value != digit.value]) for digit in held_out]
    blank = Image.new("L", draw(held_out[0]).size, 255)
    right_captions = caption(flamingo, [draw(digit) for digit in held_out])
    blank_captions = caption(flamingo, [blank] * len(held_out))
    wrong_captions = caption(flamingo, [draw(digit) for digit in wrong])
    rows = zip(held_out, wrong, right_captions, blank_captions, wrong_captions, strict=True)
    return [answer(*row) for row in rows]


def answer(digit: Digit, wrong: Digit, caption: str, caption_blank: str, caption_wrong: str) -> Answer:
    return Answer(
        label=digit.word,
        picture=encode(draw(digit), "png"),
        wrong_label=wrong.word,
        wrong_picture=encode(draw(wrong), "png"),
        caption=caption,
        caption_blank=caption_blank,
        caption_wrong=caption_wrong,
    )


def caption(flamingo: Flamingo, pictures: Sequence[Image.Image]) -> list[str]:
    """What the model says of each picture, greedily, from `<image>` alone."""
    return [text for batch in batches(pictures) for text in caption_batch(flamingo, batch)]


def caption_batch(flamingo: Flamingo, pictures: Sequence[Image.Image]) -> list[str]:
    prompts = [Prompt(text=IMAGE_TOKEN, images=(picture.convert("RGB"),)) for picture in pictures]
    return flamingo.generate(prompt_batch(flamingo, prompts), max_new_tokens=CAPTION_TOKENS)


def batches(pictures: Sequence[Image.Image]) -> Iterator[Sequence[Image.Image]]:
    return (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))


def named(text: str) -> str | None:
    """The digit that a caption names: the first word for one, or None."""
    found = DIGIT_WORD.search(text.lower())
    return found.group(1) if found else None


def accuracies(answers: Sequence[Answer]) -> dict[str, float]:
    """Shares of the answers that name the digit asked about (right, blank), or the one shown (wrong image)."""
    count = len(answers)
    return {
        "accuracy": sum(named(answer.caption) == answer.label for answer in answers) / count,
        "accuracy_blank": sum(named(answer.caption_blank) == answer.label for answer in answers) / count,
        "accuracy_wrong_image": sum(named(answer.caption_wrong) == answer.wrong_label for answer in answers) / count,
    }
