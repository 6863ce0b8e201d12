"""A door: an address goes in, bytes come out, or a reason to count. The network is one, an archive another."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What lies at an address, whole."""

    url: str
    """Where it came from, after redirects."""
    content_type: str
    data: bytes
    """The body, decompressed."""
    headers: tuple[tuple[str, str], ...] = ()
    """The answer's header fields in their order; empty where the door has none."""


class FetchError(Exception):
    """An address gave nothing; `reason` is a word to count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Door(Protocol):
    """Whatever gives the bytes at an address."""

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The body at `url`, at most `most_bytes` long. Raises FetchError."""
        ...


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Several doors as one: an address is asked for at each in turn until one has it."""

    doors: Sequence[Door]

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The body at `url` from the first door that gives it. Raises the FetchError of the last one."""
        for door in self.doors[:-1]:
            with suppress(FetchError):
                return await door.fetch(url, most_bytes)
        return await self.doors[-1].fetch(url, most_bytes)
