"""What is left of a document when its record has been read."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from pipeline.assemble import append_text
from pipeline.curation.judge import ASSIGNED
from pipeline.curation.verdicts import MEDIA
from pipeline.ledger import Record
from pipeline.rules.personal import replace_personal
from pipeline.scoring.placement import in_assigned_order
from shards.chunk import Tally
from shards.document import Block, Document, Text

Order = Literal["page", "similarity"]


def keep(document: Document, record: Record, order: Order = "page") -> Document | None:
    """`document` without the paragraphs and media that `record` drops; None if it drops the document.

    By `order`, images stand where the page has them or where they agree most with a paragraph. The document's measures
    are those of its entry, beside the ones that it had.
    """
    own = record.entries[-1]
    if own.reason:
        return None
    kept, blocks = list(_kept_blocks(document, record)), list[Block]()
    for block in [block for _, block in kept] if order == "page" else in_assigned_order(kept, _assigned(record)):
        if isinstance(block, Text):
            append_text(blocks, block)
        else:
            blocks.append(block)
    return replace(document, blocks=tuple(blocks), measures={**document.measures, **own.measures})


def without_personal(document: Document, region: str, tally: Tally) -> Document:
    """`document` with placeholders for addresses and numbers of persons, which are counted."""
    blocks = list[Block]()
    for block in document.blocks:
        if isinstance(block, Text):
            text, found = replace_personal(block.text, region)
            block = replace(block, text=text)
            for name, number in found.items():
                if number:
                    tally.count(f"{name}_replaced", int(number))
        blocks.append(block)
    return replace(document, blocks=tuple(blocks))


def _kept_blocks(document: Document, record: Record) -> Iterator[tuple[int, Block]]:
    """A block for each medium and each paragraph that stays, with its place among those of `document`."""
    paragraphs = iter([entry for entry in record.entries if entry.kind == "paragraph"])
    media = iter([entry for entry in record.entries if entry.kind in MEDIA])
    for block in document.blocks:
        if isinstance(block, Text):
            parts = [(next(paragraphs), replace(block, text=text)) for text in block.text.split("\n\n")]
        else:
            parts = [(next(media), block)]
        yield from ((entry.number, part) for entry, part in parts if not entry.reason)


def _assigned(record: Record) -> dict[int, int]:
    """The paragraph before which each image stands that was given one."""
    return {entry.number: int(entry.measures[ASSIGNED]) for entry in record.entries if ASSIGNED in entry.measures}
