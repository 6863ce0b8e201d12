"""What is left of a document when its record has been read."""

from collections.abc import Iterator
from dataclasses import replace

from pipeline.assemble import append_text
from pipeline.curation.verdicts import MEDIA
from pipeline.ledger import Record
from shards.document import Block, Document, Text


def keep(document: Document, record: Record) -> Document | None:
    """`document` without the paragraphs and media that `record` drops; None if it drops the document.

    The document's measures are those of its entry, beside the ones that it had.
    """
    own = record.entries[-1]
    if own.reason:
        return None
    blocks = list[Block]()
    for block in _kept_blocks(document, record):
        if isinstance(block, Text):
            append_text(blocks, block)
        else:
            blocks.append(block)
    return replace(document, blocks=tuple(blocks), measures={**document.measures, **own.measures})


def _kept_blocks(document: Document, record: Record) -> Iterator[Block]:
    """A block for each medium and each paragraph that stays."""
    paragraphs = iter([not entry.reason for entry in record.entries if entry.kind == "paragraph"])
    media = iter([not entry.reason for entry in record.entries if entry.kind in MEDIA])
    for block in document.blocks:
        if isinstance(block, Text):
            yield from (replace(block, text=text) for text in block.text.split("\n\n") if next(paragraphs))
        elif next(media):
            yield block
