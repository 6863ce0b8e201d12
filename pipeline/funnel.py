"""The funnel: how many documents, images, videos and words a job read, lost at each stage for each reason, and kept.

What leaves with a document leaves for the document's reason, so that nothing is counted twice: of every quantity, what
was read is what was kept and what all steps lost. It is counted from the ledgers, a task each.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from pipeline.ledger import Entry, Record, ledger_of, read_records
from shards.location import Location
from shards.manifest import Commit

FUNNEL = "funnel.json"
"""The file of an output that holds its funnel."""
QUANTITIES = ("documents", "images", "videos", "words")
PASSES = ("lines", "duplicates", "pictures", "contamination")
STAGES = ("pages", "pairs", "lines", "paragraphs", "images", "videos", "captions", "documents", *PASSES[1:])
"""In the order in which they come; of an output some of them."""
TEXTS = ("paragraph", "caption")
"""Kinds of things whose words are counted one by one; of other documents the words of all together are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was lost at one stage for one reason."""

    stage: str
    reason: str
    """With the kind of thing before it, as in a manifest: `image_aspect_over`."""
    lost: Mapping[str, int]
    """By quantity; nothing for those of which nothing was lost."""


@dataclass(slots=True)
class Funnel:
    """Counts that can be added up."""

    read: Counter[str] = field(default_factory=Counter[str])
    lost: dict[tuple[str, str], Counter[str]] = field(default_factory=dict[tuple[str, str], Counter[str]])
    """By stage and reason."""

    def add(self, record: Record) -> None:
        """Counts what `record` names."""
        for entry, amounts in _shares(record):
            self.read.update(amounts)
            if entry:
                stage = entry.stage or f"{entry.kind}s"
                self.lost.setdefault((stage, f"{entry.kind}_{entry.reason}"), Counter()).update(amounts)

    def merge(self, other: "Funnel") -> None:
        self.read.update(other.read)
        for step, amounts in other.lost.items():
            self.lost.setdefault(step, Counter()).update(amounts)

    @property
    def steps(self) -> list[Step]:
        """In the order of the stages; those of a stage by how much they lost."""
        steps = [Step(stage=stage, reason=reason, lost=lost) for (stage, reason), lost in self.lost.items()]
        return sorted(steps, key=_rank)

    @property
    def kept(self) -> Counter[str]:
        kept = Counter(self.read)
        for amounts in self.lost.values():
            kept.subtract(amounts)
        return kept


def count_funnel(output: Location, commits: Iterable[Commit]) -> Funnel:
    """The funnel of the chunks of `commits`, whose ledgers tasks of Ray read."""
    count = ray.remote(funnel_of_ledger).options(num_cpus=1)
    ledgers = [ledger_of(output, commit.chunk, commit.generation) for commit in commits]
    total = Funnel()
    for part in ray.get([count.remote(ledger) for ledger in ledgers]):
        total.merge(part)
    return total


def funnel_of_ledger(ledger: Location) -> Funnel:
    """The funnel of one chunk; an empty one if the chunk keeps no ledger."""
    funnel = Funnel()
    for record in read_records(ledger) if ledger.exists() else ():
        funnel.add(record)
    return funnel


def funnel_json(funnel: Funnel) -> bytes:
    """What was read, the steps in order with what each lost, and what was kept, as JSON."""
    steps = [{"stage": step.stage, "reason": step.reason, **_all(step.lost)} for step in funnel.steps]
    record = {"read": _all(funnel.read), "steps": steps, "kept": _all(funnel.kept)}
    return (json.dumps(record, indent=1) + "\n").encode()


def label(stage: str, reason: str) -> str:
    """What a person calls a step: its reason, with the pass before it where the thing's own rules did not drop it."""
    return f"{stage}: {reason}" if stage in PASSES else reason


def _shares(record: Record) -> Iterator[tuple[Entry | None, Mapping[str, int]]]:
    """The parts of what `record` names, each with the entry for whose reason it leaves, or None if it stays."""
    rest = Counter(documents=max(1, record.documents))
    for entry in record.entries:
        amounts = _amounts(entry)
        if entry.reason and amounts:
            yield entry, amounts
        else:
            rest.update(amounts)
    own = record.entries[-1]
    if not any(entry.kind in TEXTS and "words" in entry.measures for entry in record.entries):
        rest["words"] += _words(own)
    yield _fate(record.entries, record.key), rest


def _fate(entries: Sequence[Entry], key: str) -> Entry | None:
    """The entry for whose reason the document leaves, which is the last that was dropped; None if it stays."""
    if key and not entries[-1].reason:
        return None
    return next(entry for entry in reversed(entries) if entry.reason)


def _amounts(entry: Entry) -> Mapping[str, int]:
    if entry.kind in ("image", "video"):
        return {f"{entry.kind}s": 1}
    return {"words": _words(entry)} if entry.kind in TEXTS else {}


def _words(entry: Entry) -> int:
    return int(entry.measures.get("words", 0))


def _rank(step: Step) -> tuple[Any, ...]:
    place = STAGES.index(step.stage) if step.stage in STAGES else len(STAGES)
    return place, step.stage, [-step.lost.get(name, 0) for name in QUANTITIES], step.reason


def _all(amounts: Mapping[str, int]) -> dict[str, int]:
    return {name: amounts.get(name, 0) for name in QUANTITIES}
