"""A nano vision encoder, trained from scratch with a contrastive loss on image-text pairs.

The recipe is the paper's vision pretraining in small: image features mean-pooled, a text encoder that is thrown
away afterwards, a learnt temperature and a loss of two terms. Two things make it work at this size: the learning
rate warms up, and pairs of a batch whose captions are equal count as each other's match.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    PreTrainedTokenizerBase,
    ResNetConfig,
    ResNetModel,
    ViTImageProcessorPil,
    get_cosine_schedule_with_warmup,
)

from demo.digits import WORDS, draw, split_digits
from demo.words import train_tokenizer
from model.image import fit
from shards.dataset import open_dataset
from shards.errors import DatasetError

GREY = (0.5, 0.5, 0.5)  # mean and standard deviation of the normalisation, as red, green and blue in 0..1
PROMPT = "A handwritten {word}."
LARGEST_SCALE = 100.0  # of the similarities, as in CLIP


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionConfig:
    """A nano vision encoder: a residual network with a stage for each width."""

    image_size: int = 32
    """Side of the square that it sees, in pixels."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each stage; every stage but the first halves the grid, which begins at a quarter of the side."""
    joint_width: int = 64
    """Width of the space in which pictures and captions are compared."""
    updates: int = 250
    """Optimiser steps."""
    batch_size: int = 128
    """Pairs an update."""
    warmup_updates: int = 50
    """Updates over which the learning rate rises from 0."""
    learning_rate: float = 2e-3
    """Of AdamW, at its highest; it falls to 0 along a cosine."""
    seed: int = 0
    """Of the initial weights, the batches and the augmentation."""

    def __post_init__(self) -> None:
        smallest = 4 * 2 ** (len(self.widths) - 1)
        if not self.widths or self.image_size % smallest:
            raise ValueError(
                f"image_size is {self.image_size}; with {len(self.widths)} widths it must be a multiple of {smallest}"
            )
        for field in ("joint_width", "updates", "batch_size", "learning_rate"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} is {getattr(self, field)}; it must be more than 0")


class TwoTowers(nn.Module):
    """Pictures and captions in one space; the text tower sees a bag of words."""

    def __init__(self, config: VisionConfig, vocabulary: int, padding: int) -> None:
        super().__init__()
        width = config.widths[-1]
        self.vision = ResNetModel(
            ResNetConfig(
                embedding_size=config.widths[0],
                hidden_sizes=list(config.widths),
                depths=[1] * len(config.widths),
                layer_type="basic",
            )
        )
        self.project = nn.Linear(width, config.joint_width)
        self.text = nn.Sequential(
            nn.EmbeddingBag(vocabulary, width, padding_idx=padding),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, config.joint_width),
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, pixels: Tensor, words: Tensor) -> Tensor:
        """float[pictures, 3, side, side] and int64[captions, words] to scaled similarities [pictures, captions]."""
        features = self.vision(pixels).last_hidden_state.mean(dim=(2, 3))
        pictures = functional.normalize(self.project(features), dim=-1)
        captions = functional.normalize(self.text(words), dim=-1)
        return self.log_scale.exp().clamp(max=LARGEST_SCALE) * pictures @ captions.T


def train_vision(pairs_uri: str, folder: Path, config: VisionConfig) -> dict[str, float]:
    """Trains on the pairs, saves the vision tower to `folder` for AutoModel, and returns the run's figures.

    `accuracy` is zero-shot: how often a held-out digit is nearest to the caption that names it. Raises
    DatasetError where the dataset cannot be read or holds no pair.
    """
    started = time.monotonic()
    pictures, captions = zip(*read_pairs(pairs_uri), strict=True)
    tokenizer = train_tokenizer(captions)
    pixels, words = to_pixels(pictures, config.image_size), to_words(captions, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        towers = TwoTowers(config, len(tokenizer), padding=0)
        loss = fit_towers(towers, pixels, words, config)
    towers.vision.save_pretrained(folder)
    size = {"height": config.image_size, "width": config.image_size}
    ViTImageProcessorPil(size=size, image_mean=GREY, image_std=GREY).save_pretrained(folder)
    return {
        "pairs": len(captions),
        "parameters": sum(parameter.numel() for parameter in towers.vision.parameters()),
        "loss": loss,
        "accuracy": zero_shot_accuracy(towers, tokenizer, config.image_size),
        "seconds": time.monotonic() - started,
    }


def read_pairs(uri: str) -> Iterator[tuple[Image.Image, str]]:
    """Each document's first image and all of its text. Raises DatasetError where there is no pair."""
    found = False
    for document in open_dataset(uri).documents():
        if document.media and document.texts:
            found = True
            picture = Image.open(BytesIO(document.media[0].frames[0].data))
            yield picture, " ".join(block.text for block in document.texts)
    if not found:
        raise DatasetError(f"{uri} holds no image with a text; give the dataset of pipeline.pairs")


def to_pixels(pictures: Iterable[Image.Image], side: int) -> Tensor:
    """float[pictures, 3, side, side], each picture fitted as Flamingo fits it, normalised to -1..1."""
    fitted = torch.stack([torch.from_numpy(fit(picture, side, GREY)) for picture in pictures])
    return fitted / 127.5 - 1


def to_words(captions: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """int64[captions, words], padded."""
    return tokenizer(list(captions), padding=True, return_tensors="pt")["input_ids"]


def fit_towers(towers: TwoTowers, pixels: Tensor, words: Tensor, config: VisionConfig) -> float:
    """The training loop; returns the last update's loss. Leaves the towers in evaluation mode."""
    optimiser = torch.optim.AdamW(towers.parameters(), lr=config.learning_rate, weight_decay=0.05)
    schedule = get_cosine_schedule_with_warmup(optimiser, config.warmup_updates, config.updates)
    towers.train()
    loss = torch.tensor(math.nan)
    for _ in track(range(config.updates), "vision encoder"):
        batch = torch.randperm(len(pixels))[: config.batch_size]
        loss = contrastive_loss(towers(augment(pixels[batch]), words[batch]), words[batch])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    towers.eval()
    return loss.item()


def contrastive_loss(similarities: Tensor, words: Tensor) -> Tensor:
    """The mean of image-to-text and text-to-image cross-entropy over a batch's [pictures, captions].

    Captions with the same words share their pictures' probability: neither is a wrong answer for the other.
    """
    equal = (words[:, None] == words[None]).all(dim=-1).float()
    targets = equal / equal.sum(dim=1, keepdim=True)
    image_to_text = functional.cross_entropy(similarities, targets)
    text_to_image = functional.cross_entropy(similarities.T, targets)
    return (image_to_text + text_to_image) / 2


def augment(pixels: Tensor) -> Tensor:
    """Turns by up to 10 degrees, scales by up to 10 %, shifts by up to 6 % and brightens by up to 20 %, each alone."""
    count = len(pixels)
    angle, scale, right, down, bright = (torch.rand(5, count) * 2 - 1) * torch.tensor(
        [[math.radians(10)], [0.1], [0.12], [0.12], [0.2]]  # a shift by 0.12 is 6 % of the side, which spans -1..1
    )
    cos, sin = (1 + scale) * angle.cos(), (1 + scale) * angle.sin()
    transform = torch.stack([cos, -sin, right, sin, cos, down], dim=1).view(count, 2, 3)
    grid = functional.affine_grid(transform, list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return moved * (1 + bright).view(count, 1, 1, 1)


@torch.inference_mode()
def zero_shot_accuracy(towers: TwoTowers, tokenizer: PreTrainedTokenizerBase, side: int) -> float:
    """The share of held-out digits that are nearest to the prompt with their own word."""
    _, held_out = split_digits()
    prompts = to_words([PROMPT.format(word=word) for word in WORDS], tokenizer)
    nearest = towers(to_pixels((draw(digit) for digit in held_out), side), prompts).argmax(dim=1)
    return (nearest == torch.tensor([digit.value for digit in held_out])).float().mean().item()
