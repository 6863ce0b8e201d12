"""Writing one chunk: its documents into shards whose names follow from its id, then the commit that they stand.

A chunk that is done again, because the web had not given everything, is a new generation: its shards have other names,
and its commit takes the place of the one before, so that at every moment one of the two stands whole.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from shards.document import Document
from shards.location import Location
from shards.manifest import Commit, write_commit
from shards.shard import ShardRecord, write_shard

SHARD_BYTES = 512 * 1024 * 1024
"""A shard is closed when its tar reaches this many bytes."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a chunk counts while it works; it becomes the chunk's commit."""

    counts: Counter[str] = field(default_factory=Counter[str])
    drops: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])
    links: set[str] = field(default_factory=set[str])

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] += number

    def drop(self, reason: str, number: int = 1) -> None:
        self.drops[reason] += number


def write_chunk(
    folder: Location,
    chunk: str,
    make_documents: Callable[[Tally], Iterable[Document]],
    *,
    shard_bytes: int = SHARD_BYTES,
    shard_documents: int | None = None,
    before: Commit | None = None,
) -> Commit:
    """Writes the documents that `make_documents` yields, and commits them with what it counted meanwhile.

    A shard is closed when its tar reaches `shard_bytes` or it holds `shard_documents`. A document whose key the chunk
    has already written is dropped as `repeated_document`. `before` is the commit of the generation that this one
    follows, if there is one.
    """
    tally = Tally()
    generation = before.generation + 1 if before else 0
    documents = _without_repeats(make_documents(tally), tally)
    name = f"{chunk}-g{generation}" if generation else chunk
    shards = tuple(write_shards(folder, name, documents, shard_bytes, shard_documents))
    tally.count("documents", sum(shard.documents for shard in shards))
    commit = Commit(
        chunk=chunk,
        shards=shards,
        counts=dict(sorted(tally.counts.items())),
        drops=dict(sorted(tally.drops.items())),
        notes=tuple(tally.notes),
        links=before.links if before else tuple(sorted(tally.links)),
        late_links=tuple(sorted({*before.late_links, *tally.links} - {*before.links})) if before else (),
        generation=generation,
        removals=before.removals if before else (),
    )
    write_commit(folder, commit)
    return commit


def write_shards(
    folder: Location,
    name: str,
    documents: Iterator[Document],
    shard_bytes: int = SHARD_BYTES,
    shard_documents: int | None = None,
) -> Iterator[ShardRecord]:
    """Writes `documents` into shards `{name}-0000`, `{name}-0001` and so on, each closed when it is full."""
    for number in itertools.count():
        first = next(documents, None)
        if first is None:
            return
        rest = itertools.chain([first], documents)
        yield write_shard(folder, f"{name}-{number:04d}", rest, most_bytes=shard_bytes, most_documents=shard_documents)


def _without_repeats(documents: Iterable[Document], tally: Tally) -> Iterator[Document]:
    keys = set[str]()
    for document in documents:
        if document.key in keys:
            tally.drop("repeated_document")
        else:
            keys.add(document.key)
            yield document
