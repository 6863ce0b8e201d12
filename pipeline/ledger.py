"""What became of every page and of everything that a page names: kept, or the reason why not.

A page's record is filled while the page is worked on, and counted into the chunk's tally when its turn comes, so
that counts and order depend on nothing that answered first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from shards.chunk import Tally

ASKED = ("page", "pair")
"""Kinds of which all that were asked for are counted, kept or not; of the others, those that were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one thing."""

    page: str
    """The address that was asked for: of the page, or of the pair's image."""
    kind: str
    """`page`, `pair`, `image`, `video`, `player`, `audio` or `caption`."""
    address: str
    reason: str = ""
    """Why it was dropped; empty if it was kept."""


@dataclass(slots=True)
class Record:
    """What became of one page, or pair, and of all that it names, in the order of the DOM."""

    page: str
    entries: list[Entry] = field(default_factory=list[Entry])

    def keep(self, kind: str, address: str = "") -> None:
        self.drop(kind, "", address)

    def drop(self, kind: str, reason: str, address: str = "") -> None:
        self.entries.append(Entry(page=self.page, kind=kind, address=address or self.page, reason=reason))


def count(entries: Iterable[Entry], tally: Tally) -> None:
    """Counts `entries`: drops as `image_timeout`, what was kept as `images`, and as `pages` all pages asked for."""
    for entry in entries:
        if entry.reason:
            tally.drop(f"{entry.kind}_{entry.reason}")
        if not entry.reason or entry.kind in ASKED:
            tally.count(f"{entry.kind}s")
