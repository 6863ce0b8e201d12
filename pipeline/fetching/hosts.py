"""Whose turn it is: at most so many connections to a host, and a pause between requests that follows how it does.

Hosts do not wait for one another. A host that answers slowly, or that says it is asked too often, is asked less; an
address whose host wants more patience than there is becomes `deferred`, so that nobody waits for hours.
"""

import asyncio
import resource
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from yarl import URL

from pipeline.door import FetchError

IDLE_SECONDS = 5.0
"""How long a connection is kept for the next request, in seconds."""
REMEMBERED_HOSTS = 10_000
"""Hosts whose pace is remembered; beyond that the one that was asked longest ago is forgotten."""
LONGEST_PENALTY = 60.0
"""Longest pause that is taken unasked after a host said that it is asked too often, in seconds."""


@dataclass(slots=True, kw_only=True, eq=False)
class Host:
    """What is known of one host, as the loop's clock runs."""

    connections: asyncio.Semaphore
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    """Requests that wait for their turn or are under way."""
    free_at: float = 0.0
    """When it may be asked again, by time.monotonic()."""
    crawl_delay: float = 0.0
    """What its robots.txt asks for, in seconds."""
    response_seconds: float = 0.0
    """How long it lets one wait for an answer: rises at once, and falls by half the way with each quicker one."""
    refusals: int = 0
    """How often in a row it said that it is asked too often."""

    def answered(self, seconds: float, *, well: bool) -> None:
        """Notes that an answer began after `seconds`. Errors are quick: they never make the pause shorter."""
        if seconds > self.response_seconds:
            self.response_seconds = seconds
        elif well:
            self.response_seconds = (self.response_seconds + seconds) / 2
        if well:
            self.refusals = 0

    def refused(self, retry_after: float | None) -> None:
        """Notes that it is asked too often, and pauses as long as it says, or longer each time if it does not."""
        pause = min(2.0**self.refusals, LONGEST_PENALTY) if retry_after is None else retry_after
        self.refusals = min(self.refusals + 1, 16)
        self.free_at = max(self.free_at, time.monotonic() + pause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How hosts are treated; see FetchConfig for what each means."""

    connections: int
    connections_per_host: int
    delay_seconds: float
    delay_factor: float
    most_delay_seconds: float
    patience_seconds: float


class Hosts:
    """Gives requests their turn, host by host; used on one event loop."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._connections = asyncio.Semaphore(manners.connections)
        self._hosts: dict[str, Host] = {}
        # Each may have two connections, and the requests under way need files too.
        self._most_kept = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // (4 * manners.connections_per_host)
        self._kept: dict[Host, float] = {}

    def of(self, url: URL) -> Host:
        """What is known of the host of `url`. http and https are one host; another port is another."""
        name = _name(url)
        host = self._hosts.pop(name, None)
        if host is None:
            host = Host(connections=asyncio.Semaphore(self._manners.connections_per_host))
            self._forget()
        self._hosts[name] = host
        return host

    def _forget(self) -> None:
        """Makes room for one more, unless the one asked longest ago still has something to say."""
        while len(self._hosts) >= REMEMBERED_HOSTS:
            name, host = next(iter(self._hosts.items()))
            if host.waiting or host.free_at > time.monotonic():
                return
            del self._hosts[name]

    @asynccontextmanager
    async def turn(self, host: Host) -> AsyncGenerator[None]:
        """Holds a connection to `host`, from when its pause is over. Raises FetchError `deferred`."""
        host.waiting += 1
        try:
            async with host.connections:
                async with host.turn:
                    await self._take_turn(host)
                try:
                    yield
                finally:
                    self._connections.release()
        finally:
            host.waiting -= 1

    def keeps_open(self, host: Host) -> bool:
        """Whether the connection to `host` is kept for the next request.

        Not if nobody waits for it and so many are kept already that the process might run out of files.
        """
        now = time.monotonic()
        while self._kept and (oldest := next(iter(self._kept.items())))[1] < now - IDLE_SECONDS:
            del self._kept[oldest[0]]
        if host.waiting < 2 and len(self._kept) >= self._most_kept:
            return False
        self._kept.pop(host, None)
        self._kept[host] = now
        return True

    async def _take_turn(self, host: Host) -> None:
        while True:
            await self._pause(host)
            await self._connections.acquire()
            # It may have been told to wait longer while this one waited for a connection.
            if host.free_at <= time.monotonic():
                break
            self._connections.release()
        host.free_at = time.monotonic() + self.delay(host)

    async def _pause(self, host: Host) -> None:
        while (pause := host.free_at - time.monotonic()) > 0:
            if pause > self._manners.patience_seconds:
                raise FetchError("deferred")
            await asyncio.sleep(pause)

    def delay(self, host: Host) -> float:
        """Seconds between two requests to `host`."""
        adaptive = min(self._manners.delay_factor * host.response_seconds, self._manners.most_delay_seconds)
        return max(self._manners.delay_seconds, host.crawl_delay, adaptive)


def _name(url: URL) -> str:
    host = (url.raw_host or "").rstrip(".")
    return host if url.is_default_port() else f"{host}:{url.port}"


def retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After field (RFC 9110, 10.2.3); None where it says nothing that can be read."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
