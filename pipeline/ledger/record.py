"""What became of every page and of everything that a page names: kept, or the reason why not.

A page's record is filled while the page is worked on, and counted when its turn comes, so that counts and order
depend on nothing that answered first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.fetching import failures
from shards.chunk import Tally
from shards.document import Document

ASKED = ("page", "pair")
"""Kinds of which all that were asked for are counted, kept or not; of the others, those that were kept."""
PASSING = failures.PASSING | {"fetcher_lost"}
"""Reasons that may not hold another time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one thing."""

    kind: str
    """`page`, `pair`, `document`, `paragraph`, `image`, `video`, `player`, `audio` or `caption`."""
    address: str
    number: int = -1
    """The place of a paragraph among the paragraphs of its document, or of a medium among its media; -1 has none."""
    reason: str = ""
    """Why it was dropped; empty if it was kept."""
    stage: str = ""
    """The pass over many documents that dropped it; empty if the rules on it alone did."""
    measure: float | None = None
    """The number that was out of bounds, for reasons that are bounds on a measure."""
    threshold: float | None = None
    """The bound that it broke."""
    measures: Mapping[str, float] = field(default_factory=dict[str, float])
    """Every measure that was taken of it, also if it was kept."""
    other: str = ""
    """Of what it is a copy: a document's key, or a file."""


@dataclass(slots=True)
class Record:
    """What became of one page, pair or document, and of all that it names, in the order of the DOM."""

    page: str
    """The address that was asked for: of the page, or of the pair's image; of a document, its source."""
    key: str = ""
    """Of the document that came of it, or the first of several; empty if none did."""
    entries: list[Entry] = field(default_factory=list[Entry])

    def keep(self, kind: str, address: str = "") -> None:
        self.drop(kind, "", address)

    def drop(self, kind: str, reason: str, address: str = "") -> None:
        self.entries.append(Entry(kind=kind, address=address or self.page, reason=reason))

    @property
    def may_pass(self) -> bool:
        """Whether something of it failed in a way that may not hold another time."""
        return any(entry.reason in PASSING for entry in self.entries)

    @property
    def documents(self) -> int:
        """How many documents came of it; several have an entry each."""
        return max(1, self.kept("document")) if self.key else 0

    def kept(self, kind: str) -> int:
        return sum(entry.kind == kind and not entry.reason for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one page, pair or document."""

    record: Record
    document: Document | None = None
    more: tuple[Document, ...] = ()
    """Further documents of it, as of a video that has one for each clip."""
    links: frozenset[str] = frozenset()
    """Addresses to follow."""


def count(record: Record, tally: Tally) -> None:
    """Counts drops as `image_timeout`, what was kept as `images`, and as `pages` all pages that were asked for.

    Of a document that is dropped nothing was kept; those that are kept are counted where they are written.
    """
    own = record.entries[-1]
    gone = own.kind == "document" and own.reason != ""
    for entry in record.entries:
        if entry.reason:
            tally.drop(f"{entry.kind}_{entry.reason}")
        if entry.kind in ASKED or (entry.kind != "document" and not entry.reason and not gone):
            tally.count(f"{entry.kind}s")
