"""Shards of pages for `benchmarks.loader`: real photographs at a stored size, between stretches of real text."""

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import lxml.html
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model.language import END_OF_CHUNK_TOKEN, IMAGE_TOKEN
from shards.chunk import write_chunk
from shards.document import Block, Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, write_manifest
from training.data.vocabulary import Vocabulary

SMALLEST_SIDE = 400
"""Of the photographs that are taken, in pixels."""
QUALITY = 90
"""JPEG quality of what is stored, as gathering has it."""
PICTURES, WORDS = 8, 36
"""Of a page, and between two pictures: a window of 256 tokens holds five."""
SPECIAL = ("<pad>", "<s>", "</s>", IMAGE_TOKEN, END_OF_CHUNK_TOKEN)


def find_photographs(material: Path, short_side: int) -> list[Frame]:
    """The photographs below `material` that are large enough, as JPEGs whose shorter side is `short_side`."""
    files = [
        file for file in sorted(material.rglob("*")) if file.suffix in (".jpg", ".webp") and "odd" not in file.parts
    ]
    return [frame for file in files if (frame := _stored(file, short_side))]


def find_words(material: Path) -> list[str]:
    """The words of the articles in `pages/readability`, in order."""
    articles = sorted((material / "pages" / "readability").glob("*/expected.html"))
    return [word for file in articles for word in lxml.html.fromstring(file.read_bytes()).text_content().split()]


def write_pages(folder: Path, frames: Sequence[Frame], words: Sequence[str], pages: int, shards: int) -> str:
    """A dataset of so many pages in so many shards; returns its address."""
    pictures, text = itertools.cycle(frames), itertools.cycle(words)
    location = locate(str(folder))
    commits = [
        write_chunk(
            location, f"chunk-{chunk:04d}", lambda _, chunk=chunk: _pages(chunk, pages // shards, pictures, text)
        )
        for chunk in range(shards)
    ]
    write_manifest(location, merge("benchmark", {}, commits))
    return str(folder)


def train_vocabulary(words: Sequence[str]) -> Vocabulary:
    """A byte-level BPE of 8,000 tokens learnt from the words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=8000, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator([" ".join(words)], trainer)
    pad, beginning, end, image, end_of_chunk = range(len(SPECIAL))
    return Vocabulary(
        tokenizer=tokenizer, image=image, end_of_chunk=end_of_chunk, pad=pad, beginning=(beginning,), end=(end,)
    )


def _stored(file: Path, short_side: int) -> Frame | None:
    with Image.open(file) as image:
        if min(image.size) < SMALLEST_SIDE:
            return None
        scale = short_side / min(image.size)
        size = round(image.width * scale), round(image.height * scale)
        data = io.BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(data, "JPEG", quality=QUALITY)
    return Frame(data=data.getvalue(), format="jpg", width=size[0], height=size[1])


def _pages(chunk: int, number: int, pictures: Iterator[Frame], words: Iterator[str]) -> Iterator[Document]:
    for page in range(number):
        blocks = list[Block]()
        for _ in range(PICTURES):
            blocks.append(Media(kind="image", frames=(next(pictures),)))
            blocks.append(Text(text=" ".join(itertools.islice(words, WORDS))))
        yield Document(key=document_key("page", str(chunk), str(page)), source=f"page {page}", blocks=tuple(blocks))
