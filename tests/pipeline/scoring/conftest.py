"""Tiny models with weights that are set by hand or drawn at random, and documents of pictures and paragraphs."""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    ViTModel,
    YolosConfig,
    YolosForObjectDetection,
    YolosImageProcessorPil,
)

from pipeline.scoring import stage
from shards.document import Block, Document, Frame, Media, Text, document_key

SIDE: dict[str, Any] = {"height": 16, "width": 16}
TOWER: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
PATCHES: dict[str, Any] = {"image_size": 16, "patch_size": 8}
CLASSES = {0: "neutral", 1: "porn", 2: "hentai"}
THINGS = {0: "face", 1: "cat"}
WORDS = "<bos> <eos> <unk> red green blue a picture of the sky".split()
MOST_TOKENS = 8
"""Of the tiny CLIP, with those at the beginning and the end."""


@pytest.fixture(autouse=True)
def one_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each actor imports torch and transformers, for ten seconds of a core."""
    monkeypatch.setattr(stage, "pool_size", lambda on_gpus: 1)


def save_classifier(folder: Path) -> None:
    torch.manual_seed(1)
    labels: dict[str, Any] = {"id2label": CLASSES, "label2id": {label: number for number, label in CLASSES.items()}}
    model: Any = ViTForImageClassification(ViTConfig(**TOWER, **PATCHES, **labels))
    model.classifier.weight.data *= 20  # so that pictures differ
    model.save_pretrained(folder)
    ViTImageProcessorPil(size=SIDE).save_pretrained(folder)


def save_constant_classifier(folder: Path) -> None:
    """Whatever it sees: neutral 1/6, porn 2/6, hentai 3/6."""
    save_classifier(folder)
    model: Any = ViTForImageClassification.from_pretrained(folder)
    model.classifier.weight.data.zero_()
    model.classifier.bias.data = torch.tensor([1.0, 2.0, 3.0]).log()
    model.save_pretrained(folder)


def save_many_labels_classifier(folder: Path) -> None:
    """Labels that do not exclude each other; whatever it sees: 1/4, 1/2, 3/4."""
    save_constant_classifier(folder)
    model: Any = ViTForImageClassification.from_pretrained(folder)
    model.classifier.bias.data = torch.tensor([1 / 4, 1 / 2, 3 / 4]).logit()
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(folder)


def save_headless(folder: Path) -> None:
    """A model without the weights of a classifier."""
    ViTModel(ViTConfig(**TOWER, **PATCHES)).save_pretrained(folder)
    ViTImageProcessorPil(size=SIDE).save_pretrained(folder)


def save_detector(folder: Path) -> None:
    """Whatever it sees: three faces, at one place, which is the middle half of the width and of the height."""
    labels: dict[str, Any] = {"id2label": THINGS, "label2id": {label: number for number, label in THINGS.items()}}
    config = YolosConfig(**TOWER, **PATCHES | {"image_size": [16, 16]}, num_detection_tokens=3, **labels)
    model: Any = YolosForObjectDetection(config)
    for head, bias in (
        (model.class_labels_classifier, torch.tensor([math.log(8), 0.0, math.log(1)])),  # face 0.8, cat 0.1
        (model.bbox_predictor, torch.zeros(4)),  # sigmoid: centre, width and height at one half
    ):
        head.layers[-1].weight.data.zero_()
        head.layers[-1].bias.data = bias
    model.save_pretrained(folder)
    YolosImageProcessorPil(size=SIDE).save_pretrained(folder)


def save_clip(folder: Path) -> None:
    torch.manual_seed(2)
    text = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "max_position_embeddings": MOST_TOKENS}
    towers: dict[str, Any] = {
        "vision_config": TOWER | PATCHES,
        "text_config": TOWER | text | {"vocab_size": len(WORDS)},
    }
    CLIPModel(CLIPConfig(**towers, projection_dim=8)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=SIDE).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 0), ("<eos>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<bos>", eos_token="<eos>", pad_token="<eos>"
    ).save_pretrained(folder)


SAVE: dict[str, Callable[[Path], None]] = {
    "classifier": save_classifier,
    "constant": save_constant_classifier,
    "many-labels": save_many_labels_classifier,
    "headless": save_headless,
    "detector": save_detector,
    "clip": save_clip,
}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny model, made once. Do not write to it."""
    root = tmp_path_factory.mktemp("models")

    def folder_of(name: str) -> str:
        if not (root / name).exists():
            SAVE[name](root / name)
        return str(root / name)

    return folder_of


def picture(seed: int, width: int = 40, height: int = 30) -> Frame:
    """A picture of soft colours that no other seed gives."""
    small = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return Frame(data=buffer.getvalue(), format="png", width=width, height=height)


@pytest.fixture
def make_document() -> Callable[..., Document]:
    """A function from a number and blocks, a text or the seed of a picture (-1: a broken one), to a document."""

    def make(number: int, blocks: Sequence[str | int]) -> Document:
        broken = Frame(data=b"nothing", format="png", width=9, height=9)
        made: list[Block] = [
            Text(text=block)
            if isinstance(block, str)
            else Media(kind="image", frames=(picture(block) if block >= 0 else broken,))
            for block in blocks
        ]
        return Document(key=document_key(str(number)), source=f"https://a.org/{number}", blocks=tuple(made))

    return make
