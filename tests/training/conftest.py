"""Small datasets of coloured squares, tiny random backbones, and a run over both."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from model.flamingo import FlamingoConfig
from shards.chunk import write_chunk
from shards.document import Block, Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, write_manifest
from training.config import DatasetConfig, TrainingConfig

COLOURS = {"red": (220, 30, 30), "green": (20, 200, 40), "blue": (30, 60, 230), "yellow": (230, 220, 20)}
WORDS = ["<s>", "</s>", "<pad>", "<unk>", *COLOURS, "a", "square", "turns", "into", "here", "is", "and", "then", "."]


def picture(colour: str, size: tuple[int, int] = (20, 16)) -> Frame:
    """An encoded picture of one colour."""
    data = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(data, "PNG")
    return Frame(data=data.getvalue(), format="png", width=size[0], height=size[1])


def image(colour: str) -> Media:
    return Media(kind="image", frames=(picture(colour),), url=f"http://example/{colour}.png")


def video(*colours: str) -> Media:
    return Media(kind="video", frames=tuple(picture(colour) for colour in colours))


def document(number: int, *blocks: Block) -> Document:
    return Document(key=document_key("test", str(number)), source=f"test {number}", blocks=blocks)


def page(number: int) -> Document:
    first, second = list(COLOURS)[number % 4], list(COLOURS)[number // 4 % 4]
    texts = [Text(text=f"here is a {colour} square .") for colour in (first, second)]
    return document(number, image(first), texts[0], image(second), texts[1])


def pair(number: int) -> Document:
    colour = list(COLOURS)[number % 4]
    return document(1000 + number, image(colour), Text(text=f"a {colour} square"))


def film(number: int) -> Document:
    first, last = list(COLOURS)[number % 4], list(COLOURS)[(number + 1) % 4]
    return document(2000 + number, video(*[first] * 5, *[last] * 5), Text(text=f"{first} turns into {last}"))


def write_dataset(folder: Path, documents: list[Document], chunks: int = 1) -> str:
    """Writes a finished dataset of `chunks` shards; returns its address."""
    location = locate(str(folder))
    commits = [
        write_chunk(location, f"chunk-{chunk}", lambda _, chunk=chunk: documents[chunk::chunks])
        for chunk in range(chunks)
    ]
    write_manifest(location, merge("test", {}, commits))
    return str(folder)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, which drops white space."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> FlamingoConfig:
    """A random CLIP vision tower and a random Llama in folders, and a small Flamingo's shape."""
    folder = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(7)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    CLIPVisionModel(vision).save_pretrained(folder / "vision")
    CLIPImageProcessorPil(
        size={"height": 16, "width": 16}, crop_size={"height": 16, "width": 16}
    ).save_pretrained(folder / "vision")
    language = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    LlamaForCausalLM(language).save_pretrained(folder / "language")
    make_tokenizer().save_pretrained(folder / "language")
    return FlamingoConfig(
        vision=str(folder / "vision"),
        language=str(folder / "language"),
        cross_attention_heads=2,
        cross_attention_head_width=16,
        resampler_layers=1,
        resampler_width=32,
        resampler_heads=2,
        resampler_head_width=16,
        latents=4,
    )


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DatasetConfig]:
    """Pages, pairs and videos, with batches that two workers share evenly and unevenly."""
    folder = tmp_path_factory.mktemp("datasets")
    pages = write_dataset(folder / "pages", [page(number) for number in range(24)], chunks=2)
    pairs = write_dataset(folder / "pairs", [pair(number) for number in range(16)])
    films = write_dataset(folder / "films", [film(number) for number in range(8)])
    return {
        "pages": DatasetConfig(uri=pages, kind="interleaved", batch=4, max_text=24),
        "pairs": DatasetConfig(uri=pairs, kind="pair", weight=0.2, batch=5, max_text=12),
        "films": DatasetConfig(uri=films, kind="video", weight=0.03, batch=1, max_text=12),
    }


@pytest.fixture
def make_config(backbones: FlamingoConfig, mixture: dict[str, DatasetConfig]) -> Callable[..., TrainingConfig]:
    """A function from an output folder, and what differs, to the config of a small run."""

    def make(output: Path, **changes: object) -> TrainingConfig:
        settings = {"updates": 4, "learning_rate": 1e-2, "warmup": 2, "persistent_parameters": 0, **changes}
        return TrainingConfig(output=str(output), model=backbones, datasets=mixture, **settings)

    return make
