"""What a site asks of robots, in robots.txt (RFC 9309) and in X-Robots-Tag fields."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from protego import Protego
from yarl import URL

from pipeline.door import FetchError

NAME = "flamboyance"
"""What robots.txt and X-Robots-Tag call this crawler."""
MOST_BYTES = 512_000
"""What is read of a robots.txt; the rest is as if it were not there (RFC 9309, 2.5)."""
GOOD_FOR_SECONDS = 86_400.0
"""How long a robots.txt is believed, in seconds (RFC 9309, 2.4)."""
ASKED_AGAIN_SECONDS = 300.0
"""When a site whose robots.txt did not come is asked for it again, in seconds."""
REMEMBERED_FILES = 10_000
UNREACHABLE = frozenset(("forbidden_address", "bad_address", "dns", "dns_unavailable", "tls", "deferred", "opted_out"))
"""Reasons that hold for every page of a site, and say more than that its robots.txt did not come."""
ABSENT = re.compile(r"http_2..|http_4(?!08|29)..|too_many_redirects|bad_redirect")
"""Reasons that mean that a site has no robots.txt; to be asked less (429) is not to be allowed."""
USER_AGENT = re.compile(r"\s*user[ -]?agent\b[\s:]*(?P<name>[^#]*)", re.IGNORECASE)
OPT_OUT = frozenset(("noai", "noimageai", "noindex", "noimageindex", "none"))
"""Directives of X-Robots-Tag that refuse use; `none` means noindex and nofollow."""
WITH_VALUE = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
"""Directives that have a colon of their own; what else stands before a colon is a crawler's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one robots.txt says to this crawler."""

    crawl_delay: float
    """Seconds between two requests; 0 where it asks for none."""
    _file: Protego

    def allow(self, url: str) -> bool:
        return self._file.can_fetch(url, NAME)


def read_rules(data: bytes) -> Rules:
    """The rules in a robots.txt."""
    lines = data[:MOST_BYTES].decode("utf-8-sig", "replace").splitlines()
    file = Protego.parse("\n".join(map(_of_others_as_one, lines)))
    return Rules(crawl_delay=file.crawl_delay(NAME) or 0.0, _file=file)


def _of_others_as_one(line: str) -> str:
    """The line, with the name of any other crawler replaced by one name for all of them.

    Protego copies each rule for each name above it, which for names and rules by the ten thousand is the square.
    """
    named = USER_AGENT.match(line)
    name = named["name"].strip().lower() if named else "*"
    return line if name == "*" or name.startswith(NAME) else "User-agent: another"


class RobotsFiles:
    """The rules of each site, asked for once a day, whoever wants to know; used on one event loop."""

    def __init__(self, ask: Callable[[str], Awaitable[bytes]]) -> None:
        """`ask` gives the body at an address or raises FetchError."""
        self._ask = ask
        self._asked: dict[str, tuple[float, asyncio.Task[Rules]]] = {}

    async def of(self, url: URL) -> Rules:
        """The rules for the site of `url`. Raises FetchError if it cannot be asked for anything now."""
        origin = f"{url.scheme}://{url.raw_authority}"
        asked = self._asked.get(origin)
        if asked is None or not _is_good(*asked):
            while len(self._asked) >= REMEMBERED_FILES:
                self._asked.pop(next(iter(self._asked)))
            asked = time.monotonic(), asyncio.create_task(self._read(origin))
            self._asked[origin] = asked
        # Shielded: others wait for it too, and one of them giving up is not the end of it.
        return asked[1].result() if asked[1].done() else await asyncio.shield(asked[1])

    async def _read(self, origin: str) -> Rules:
        """Rules that allow all if the site says there are none; FetchError if it fails to say (RFC 9309, 2.3.1)."""
        try:
            return read_rules(await self._ask(f"{origin}/robots.txt"))
        except FetchError as error:
            if ABSENT.fullmatch(error.reason):
                return read_rules(b"")
            raise FetchError(error.reason if error.reason in UNREACHABLE else "robots_unavailable") from error

    async def close(self) -> None:
        """Gives up on what is still asked for."""
        tasks = [task for _, task in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_good(asked_at: float, task: asyncio.Task[Rules]) -> bool:
    failed = task.done() and (task.cancelled() or task.exception() is not None)
    return time.monotonic() < asked_at + (ASKED_AGAIN_SECONDS if failed else GOOD_FOR_SECONDS)


def refusal(values: Sequence[str]) -> str | None:
    """The directive in the X-Robots-Tag fields `values` that refuses this crawler the use of what came, if one does.

    A crawler's name holds from where it stands to the next name or the field's end; without one, all are meant.
    """
    for value in values:
        meant = True
        for part in value.lower().split(","):
            name, colon, rest = part.partition(":")
            if colon and name.strip() not in WITH_VALUE:
                meant, part = name.strip() in ("*", NAME), rest
            if meant and part.strip() in OPT_OUT:
                return part.strip()
    return None
