"""What `benchmarks.train` trains on: backbones of random weights, and shards of real photographs and text."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
)

from benchmarks.illustrated_pages import train_vocabulary
from model.config import FlamingoConfig
from model.presets import OPEN_FLAMINGO
from shards.chunk import write_chunk
from shards.document import Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, write_manifest

FEWEST_WORDS, MOST_WORDS = 3, 60
"""Of a caption; most are short, as captions are: the logarithm of the number is drawn evenly."""


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Of a Flamingo, as settings that differ from defaults."""

    vision: Mapping[str, Any]
    """Of CLIPVisionConfig."""
    language: Mapping[str, Any]
    """Of OPTConfig."""
    adapters: Mapping[str, Any]
    """Of OpenFlamingo's preset."""


OPT_125M = Shapes(vision={"image_size": 224}, language={}, adapters={"resampler_width": 768})
"""OPT-125M and CLIP ViT-B/32, as transformers' defaults are, with blocks before every layer."""
SMALL = Shapes(
    vision={
        "image_size": 64,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
    language={
        "num_attention_heads": 4,
        "hidden_size": 64,
        "word_embed_proj_dim": 64,
        "ffn_dim": 128,
        "num_hidden_layers": 2,
    },
    adapters={"resampler_width": 64, "resampler_layers": 1},
)
"""For a try, whose figures say nothing."""


def write_backbones(folder: Path, words: Sequence[str], shapes: Shapes) -> FlamingoConfig:
    """Random backbones below `folder`, with a tokenizer learnt from the words; returns the Flamingo of them."""
    torch.manual_seed(0)
    vision, language = folder / "vision", folder / "language"
    CLIPVisionModel(CLIPVisionConfig(**shapes.vision)).save_pretrained(vision)
    side = {"height": shapes.vision["image_size"], "width": shapes.vision["image_size"]}
    CLIPImageProcessorPil(size=side, crop_size=side).save_pretrained(vision)
    OPTForCausalLM(OPTConfig(**shapes.language)).save_pretrained(language)
    tokenizer = train_vocabulary(words).tokenizer
    assert isinstance(tokenizer, Tokenizer)
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(language)
    return replace(OPEN_FLAMINGO, vision=str(vision), language=str(language), **shapes.adapters)


def write_pairs(folder: Path, frames: Sequence[Frame], words: Sequence[str], pairs: int) -> str:
    """A dataset of so many pictures with captions of all lengths, in one shard; returns its address."""
    location = locate(str(folder))
    commit = write_chunk(location, "chunk-0000", lambda _: _pairs(frames, words, pairs))
    write_manifest(location, merge("benchmark", {}, [commit]))
    return str(folder)


def _pairs(frames: Sequence[Frame], words: Sequence[str], pairs: int) -> Iterator[Document]:
    pictures, text, chance = itertools.cycle(frames), itertools.cycle(words), random.Random(0)
    for pair in range(pairs):
        length = round(FEWEST_WORDS * (MOST_WORDS / FEWEST_WORDS) ** chance.random())
        caption = " ".join(itertools.islice(text, length))
        blocks = (Media(kind="image", frames=(next(pictures),)), Text(text=caption))
        yield Document(key=document_key("pair", str(pair)), source=f"pair {pair}", blocks=blocks)
