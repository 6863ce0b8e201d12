"""A small world to train on: pages, pairs and films of coloured squares, and a tokenizer for their words."""

import io
from pathlib import Path

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from shards.chunk import write_chunk
from shards.document import Block, Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, write_manifest

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
