"""A chunk done again: what had come whole stays as it is, what may pass another time is asked for once more."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pipeline.ledger import Entry, Outcome, Record
from shards.document import Document
from shards.errors import DatasetError
from shards.location import Location
from shards.manifest import Commit
from shards.remove import TakenOut, comparable
from shards.shard import read_shard


def places_to_retry(records: Iterable[Record]) -> frozenset[int]:
    """Places of the records of which something may pass another time."""
    return frozenset(place for place, record in enumerate(records) if record.may_pass)


def merge_outcomes(
    records: Sequence[Record], documents: Iterator[Document], fresh: Iterator[Outcome]
) -> Iterator[Outcome]:
    """The outcomes of a new generation, in the order of `records`, the ledger of the one before.

    `documents` are those of the one before that are left, `fresh` the outcomes of the places to retry. A page that gave
    more pictures before than now stays as it was.
    """
    firsts = {record.key for record in records}
    upcoming = next(documents, None)
    for record in records:
        mine = list[Document]()
        # Of several documents any may have been taken out since, the first too.
        while upcoming is not None and len(mine) < record.documents:
            if upcoming.key != record.key and upcoming.key in firsts:
                break
            mine.append(upcoming)
            upcoming = next(documents, None)
        held = Outcome(record=record, document=mine[0] if mine else None, more=tuple(mine[1:]))
        yield _better(held, next(fresh)) if record.may_pass else held
    if upcoming is not None:
        raise DatasetError(f"the ledger of a chunk does not name its document {upcoming.key} of {upcoming.source}")
    # Asked for what is not there, so that the work comes to its end and keeps what it keeps.
    if (surplus := next(fresh, None)) is not None:
        raise DatasetError(f"a chunk done again gave an outcome for {surplus.record.page}, which was not asked for")


def withhold(outcomes: Iterator[Outcome], gone: TakenOut) -> Iterator[Outcome]:
    """`outcomes` without what `shards.remove` took out before, which the ledger then calls `withheld`."""
    for outcome in outcomes:
        made = [document for document in (outcome.document, *outcome.more) if document]
        left = [kept for document in made if (kept := _without(document, outcome.record, gone))]
        yield replace(outcome, document=left[0] if left else None, more=tuple(left[1:]))


def _without(document: Document, record: Record, gone: TakenOut) -> Document | None:
    """What may stay of `document`; None if that is nothing, or no medium."""
    named = [media for media in document.media if comparable(media.url) in gone.media]
    for media in named:
        record.entries.append(Entry(kind=media.kind, address=media.url, reason="withheld"))
    if comparable(document.source) in gone.documents or (named and len(named) == len(document.media)):
        record.entries.append(Entry(kind="document", address=document.source, reason="withheld"))
        return None
    return replace(document, blocks=tuple(block for block in document.blocks if block not in named))


def documents_of(output: Location, commit: Commit) -> Iterator[Document]:
    """The documents of a committed chunk, in order."""
    for shard in commit.shards:
        yield from read_shard(output / f"{shard.name}.tar")


def _better(held: Outcome, fresh: Outcome) -> Outcome:
    if held.document is None or (fresh.document and len(fresh.document.media) >= len(held.document.media)):
        return fresh
    return replace(held, links=fresh.links)
