"""A chunk: what one task works through and one commit records, and how a task does that.

Its name follows from its place and its content. A task that dies leaves a mark, and whoever takes up its chunk works
carefully; a chunk that is done again keeps what had come whole.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pipeline.ledger import Entry, Outcome, count, ledger_of, open_ledger, read_ledger
from pipeline.retry import documents_of, merge_outcomes, places_to_retry, withhold
from shards.chunk import Tally, write_chunk
from shards.document import Document
from shards.location import Location
from shards.manifest import Commit, read_commit
from shards.remove import REMOVED, taken_out

ATTEMPTS = "attempts"
"""The folder of an output in which the marks of tasks at work lie."""
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of work."""

    id: str
    items: tuple[Any, ...]
    """What the job works on, as plain JSON values."""
    places: frozenset[int] | None = None
    """Which of its pages, or pairs, are asked for; None for all of them."""
    careful: bool = False
    """Whether a task died over it, so that what strangers' bytes can crash is done in a process apart."""

    def asked(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """Those of `things`, one for each place, that are asked for."""
        places = self.places
        return (thing for place, thing in enumerate(things) if places is None or place in places)


Work = Callable[[Chunk, Tally], Iterator[Outcome]]
"""A job's work on a chunk: an outcome for each place that is asked for, in order."""


def cut(items: Sequence[Any], size: int) -> list[Chunk]:
    """Chunks of `size` items."""
    return name_chunks([items[start : start + size] for start in range(0, len(items), size)])


def name_chunks(runs: Iterable[Sequence[Any]], prefix: str = "") -> list[Chunk]:
    """A chunk for each of `runs`; its id is a place in the list and a hash of the items."""
    items = (tuple(run) for run in runs)
    return [Chunk(id=f"{prefix}{number:06d}-{_hash(run)}", items=run) for number, run in enumerate(items)]


def do_chunk(output: Location, chunk: Chunk, work: Work, again: bool) -> None:
    """Works through `chunk` and commits it; `again` makes a new generation of what stands."""
    mark = output / ATTEMPTS / chunk.id
    chunk = replace(chunk, careful=mark.exists())
    mark.write(b"")
    try:
        before = read_commit(output, chunk.id) if again else None
        write_chunk(output, chunk.id, lambda tally: _documents(output, chunk, work, before, tally), before=before)
    finally:
        # Whatever can be raised was survived: only a process that died leaves its mark.
        with suppress(FileNotFoundError):
            mark.filesystem.delete_file(mark.path)


def _documents(output: Location, chunk: Chunk, work: Work, before: Commit | None, tally: Tally) -> Iterator[Document]:
    outcomes = work(chunk, tally) if before is None else _outcomes_again(output, chunk, work, before, tally)
    with open_ledger(ledger_of(output, chunk.id, before.generation + 1 if before else 0)) as write:
        for outcome in _without_repeats(outcomes):
            write(outcome.record)
            count(outcome.record, tally)
            tally.links.update(outcome.links)
            if outcome.document:
                yield outcome.document
            yield from outcome.more


def _without_repeats(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """`outcomes`, but of those that give the same document the first alone gives it."""
    keys = set[str]()
    for outcome in outcomes:
        if outcome.document and outcome.document.key in keys:
            record = outcome.record
            record.entries.append(Entry(kind="document", address=record.page, reason="repeated", other=record.key))
            outcome = replace(outcome, document=None)
        elif outcome.document:
            keys.add(outcome.document.key)
        yield outcome


def _outcomes_again(output: Location, chunk: Chunk, work: Work, before: Commit, tally: Tally) -> Iterator[Outcome]:
    records = list(read_ledger(output, before))
    fresh = work(replace(chunk, places=places_to_retry(records)), tally)
    for reason in REMOVED:
        if number := before.drops.get(reason, 0):
            tally.drop(reason, number)
    return merge_outcomes(records, documents_of(output, before), withhold(fresh, taken_out(output, before.removals)))


def _hash(items: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:10]
