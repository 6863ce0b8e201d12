"""Tiny backbones for journeys: random, but with a tokenizer of the words that the journey's texts have."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
SIDE = {"height": 32, "width": 32}
NANO = {
    "cross_attention_heads": 2,
    "cross_attention_head_width": 16,
    "resampler_layers": 1,
    "resampler_width": 32,
    "resampler_heads": 2,
    "resampler_head_width": 16,
    "latents": 4,
}
"""The shape of a Flamingo between them."""


def write_backbones(folder: Path, texts: Iterable[str]) -> None:
    """Writes `vision` and `language` into `folder`; the tokenizer knows the 500 commonest words of `texts`."""
    torch.manual_seed(11)
    words = Counter(word for text in texts for word in text.split())
    vocabulary = [*SPECIAL, *(word for word, _ in words.most_common(500))]
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    CLIPVisionModel(vision).save_pretrained(folder / "vision")
    CLIPImageProcessorPil(size=SIDE, crop_size=SIDE).save_pretrained(folder / "vision")
    language = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2
    )
    LlamaForCausalLM(language).save_pretrained(folder / "language")
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder / "language")


@pytest.fixture
def backbones(tmp_path: Path) -> Callable[[Iterable[str]], list[str]]:
    """A function that writes backbones for some texts, and returns the flags of training.run that name them."""

    def write(texts: Iterable[str]) -> list[str]:
        write_backbones(tmp_path / "backbones", texts)
        shape = [word for name, value in NANO.items() for word in (f"--model.{name}", str(value))]
        folders = (tmp_path / "backbones" / name for name in ("vision", "language"))
        return ["--model.vision", str(next(folders)), "--model.language", str(next(folders)), *shape]

    return write
