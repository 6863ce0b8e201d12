"""From prompts, texts with `<image>` where a picture stands, to a batch to generate from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.flamingo import Flamingo, FlamingoBatch
from model.image import fit
from model.language import IMAGE_TOKEN
from model.loss import IGNORED


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A text with one `<image>` for each of its pictures, in order; few-shot examples end in `<EOC>`."""

    text: str
    """For example `<image>a cat<EOC><image>`."""

    images: tuple[Image.Image, ...] = ()
    """The decoded pictures."""

    def __post_init__(self) -> None:
        marks = self.text.count(IMAGE_TOKEN)
        if marks != len(self.images):
            raise ValueError(
                f"the prompt {self.text!r} has {marks} {IMAGE_TOKEN} tokens and {len(self.images)} images; the"
                " numbers must be equal"
            )


def prompt_batch(flamingo: Flamingo, prompts: Sequence[Prompt]) -> FlamingoBatch:
    """Prompts padded on the left, each token looking at the last picture at or before it.

    A picture's own `<image>` token sees it. Prompts without pictures bring a dummy that nobody sees.
    """
    rows = [torch.tensor(encode(flamingo, prompt.text), dtype=torch.int64) for prompt in prompts]
    indices, media = [], 0
    for row in rows:
        seen = (row == flamingo.image_token_id).cumsum(dim=0)
        indices.append(torch.where(seen > 0, media + seen - 1, -1))
        media += int(seen[-1])
    pad = flamingo.tokenizer.pad_token_id
    assert isinstance(pad, int)
    input_ids = pad_left(rows, pad)
    pixels = stack_pixels(flamingo, [image for prompt in prompts for image in prompt.images])
    return FlamingoBatch(
        input_ids=input_ids,
        attention_mask=pad_left([torch.ones_like(row) for row in rows], 0).bool(),
        media_index=pad_left(indices, -1),
        pixels=pixels,
        frame_mask=torch.ones(pixels.shape[:2], dtype=torch.bool),
        labels=torch.full_like(input_ids, IGNORED),
    )


def encode(flamingo: Flamingo, text: str) -> list[int]:
    """Token ids, after the beginning of text where the tokenizer has one. Raises ValueError on no tokens."""
    tokenizer = flamingo.tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False)
    if tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id, *ids]
    if not ids:
        raise ValueError("the prompt is empty, and the tokenizer has no token for the beginning of a text")
    return ids


def stack_pixels(flamingo: Flamingo, images: Sequence[Image.Image]) -> Tensor:
    """uint8[media, 1, 3, size, size], with one black dummy where there are no images."""
    size = flamingo.image_size
    if not images:
        return torch.zeros(1, 1, 3, size, size, dtype=torch.uint8)
    fitted = np.stack([fit(image, size, flamingo.image_mean) for image in images])
    return torch.from_numpy(fitted).unsqueeze(1)


def pad_left(rows: Sequence[Tensor], value: int) -> Tensor:
    """int64[rows, longest] from rows of int64[length]."""
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value, padding_side="left")
