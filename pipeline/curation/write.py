"""What is left of a document when its record has been read."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Literal

from pipeline.assemble import append_text
from pipeline.curation.judge import ASSIGNED
from pipeline.curation.verdicts import MEDIA
from pipeline.ledger import Entry, Record
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
    blocks = _in_page_order(document, record) if order == "page" else _by_similarity(document, record)
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


def _in_page_order(document: Document, record: Record) -> list[Block]:
    """What stays of each block; texts become one if the medium between them went, except captions."""
    blocks, medium_went = list[Block](), False
    for block, entries in _with_entries(document, record):
        if isinstance(block, Text):
            left = [text for entry, text in zip(entries, block.text.split("\n\n"), strict=True) if not entry.reason]
            if not left:
                continue
            text = replace(block, text="\n\n".join(left))
            if medium_went and not text.caption:
                append_text(blocks, text)
            else:
                blocks.append(text)
            medium_went = False
        elif entries[0].reason:
            medium_went = True
        else:
            blocks.append(block)
            medium_went = False
    return blocks


def _by_similarity(document: Document, record: Record) -> list[Block]:
    """A block for each medium that stays, and for all paragraphs that have none between them."""
    kept = list[tuple[int, Block]]()
    for block, entries in _with_entries(document, record):
        texts = [replace(block, text=text) for text in block.text.split("\n\n")] if isinstance(block, Text) else []
        parts = zip(entries, texts or [block], strict=True)
        kept += [(entry.number, part) for entry, part in parts if not entry.reason]
    assigned = {entry.number: int(entry.measures[ASSIGNED]) for entry in record.entries if ASSIGNED in entry.measures}
    blocks = list[Block]()
    for block in in_assigned_order(kept, assigned):
        if isinstance(block, Text):
            append_text(blocks, block)
        else:
            blocks.append(block)
    return blocks


def _with_entries(document: Document, record: Record) -> Iterator[tuple[Block, list[Entry]]]:
    """Each block of `document` with its entry, or with those of its paragraphs."""
    paragraphs = iter([entry for entry in record.entries if entry.kind == "paragraph"])
    media = iter([entry for entry in record.entries if entry.kind in MEDIA])
    for block in document.blocks:
        if isinstance(block, Text):
            yield block, list(islice(paragraphs, block.text.count("\n\n") + 1))
        else:
            yield block, [next(media)]
