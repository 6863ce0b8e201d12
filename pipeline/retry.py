"""A chunk done again: what had come whole stays as it is, what may pass another time is asked for once more."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pipeline.ledger import Outcome, Record
from shards.document import Document
from shards.errors import DatasetError
from shards.location import Location
from shards.manifest import Commit
from shards.shard import read_shard


def places_to_retry(records: Iterable[Record]) -> frozenset[int]:
    """Places of the records of which something may pass another time."""
    return frozenset(place for place, record in enumerate(records) if record.may_pass)


def merge_outcomes(
    records: Sequence[Record], documents: Iterator[Document], fresh: Iterator[Outcome]
) -> Iterator[Outcome]:
    """The outcomes of a new generation, in the order of `records`, the ledger of the one before.

    `documents` are those of the one before, `fresh` the outcomes of the places to retry. A page that gave more
    pictures before than now stays as it was.
    """
    upcoming = next(documents, None)
    for record in records:
        held = Outcome(record=record)
        if upcoming is not None and upcoming.key == record.key:
            more = tuple(itertools.islice(documents, record.documents - 1))
            held, upcoming = Outcome(record=record, document=upcoming, more=more), next(documents, None)
        yield _better(held, next(fresh)) if record.may_pass else held
    if upcoming is not None:
        raise DatasetError(f"the ledger of a chunk does not name its document {upcoming.key} of {upcoming.source}")
    # Asked for what is not there, so that the work comes to its end and keeps what it keeps.
    if (surplus := next(fresh, None)) is not None:
        raise DatasetError(f"a chunk done again gave an outcome for {surplus.record.page}, which was not asked for")


def documents_of(output: Location, commit: Commit) -> Iterator[Document]:
    """The documents of a committed chunk, in order."""
    for shard in commit.shards:
        yield from read_shard(output / f"{shard.name}.tar")


def _better(held: Outcome, fresh: Outcome) -> Outcome:
    if held.document is None or (fresh.document and len(fresh.document.media) >= len(held.document.media)):
        return fresh
    return replace(held, links=fresh.links)
