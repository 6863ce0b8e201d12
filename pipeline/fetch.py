"""One door to the web for every job: bounded, guarded at connect time, polite to each host, and honest in its name.

Nothing is fetched but http and https; a machine that is not public is refused when the socket is made, so a name
that resolves elsewhere the second time, and every redirect, meets the same guard. robots.txt (RFC 9309) and
opt-out headers are obeyed. Whatever is not given raises FetchError with a reason that the job counts.
"""

import asyncio
import errno
import random
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from protego import Protego
from yarl import URL

from pipeline.addresses import IPNetwork, canonical, is_forbidden, parse_networks
from pipeline.door import Fetched, FetchError

VERSION = "0.1"
RETRIED = ("timeout", "connect", "http_429", "http_500", "http_502", "http_503", "http_504")
"""Reasons that can pass; the others are final."""
UNREACHABLE = ("forbidden_address", "bad_address", "dns")
"""Reasons that hold for a whole host, and say more than that its robots.txt did not come."""
OPT_OUT = {"noai", "noimageai", "noindex", "noimageindex", "none"}
"""Directives of X-Robots-Tag that refuse use."""


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """How the web is asked; none of it changes what a document holds."""

    contact: str = "no contact given"
    """An address or e-mail that a site's owner can write to; part of the user agent."""
    connections: int = 64
    """Requests under way at once, in one worker."""
    connections_per_host: int = 2
    """Requests under way at once to one host, in one worker."""
    delay_seconds: float = 0.25
    """Least time between two requests to one host, in seconds; a longer Crawl-delay wins."""
    seconds: float = 30.0
    """Total time of one request, in seconds; a redirect is a new one."""
    redirects: int = 5
    """Redirects followed for one address."""
    retries: int = 2
    """Further tries after a failure that can pass."""
    page_bytes: int = 10_000_000
    """Largest page, in bytes after decompression."""
    image_bytes: int = 20_000_000
    """Largest image, in bytes."""

    def __post_init__(self) -> None:
        for name in ("connections", "connections_per_host", "seconds", "page_bytes", "image_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"fetch.{name} is {getattr(self, name)}; it must be greater than 0")
        for name in ("delay_seconds", "redirects", "retries"):
            if getattr(self, name) < 0:
                raise ValueError(f"fetch.{name} is {getattr(self, name)}; it must be 0 or greater")

    @property
    def user_agent(self) -> str:
        return f"flamboyance/{VERSION} (+{self.contact})"


class ForbiddenAddress(OSError):
    """A name led to a machine that is not public."""


@dataclass(slots=True)
class _Host:
    """What is kept of one host: who may speak to it, when next, and what its robots.txt says."""

    slots: asyncio.Semaphore
    pace: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_request: float = 0.0
    robots: asyncio.Task[Protego | None] | None = None


class Fetcher:
    """Fetches addresses concurrently; made by `open_fetcher`, used on one event loop."""

    def __init__(self, session: aiohttp.ClientSession, config: FetchConfig) -> None:
        self._session = session
        self._config = config
        self._requests = asyncio.Semaphore(config.connections)
        self._hosts = defaultdict[str, _Host](lambda: _Host(asyncio.Semaphore(config.connections_per_host)))

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The body at `url`, at most `most_bytes` long. Raises FetchError."""
        for attempt in range(self._config.retries + 1):
            try:
                return await self._try(url, most_bytes)
            except FetchError as error:
                if error.reason not in RETRIED or attempt == self._config.retries:
                    raise
            await asyncio.sleep(2**attempt * random.uniform(0.5, 1.0))
        raise AssertionError("the last attempt returns or raises")

    async def _try(self, url: str, most_bytes: int) -> Fetched:
        try:
            for _ in range(self._config.redirects + 1):
                await self._check_robots(url)
                answer = await self._request(url, most_bytes)
                if isinstance(answer, Fetched):
                    return answer
                url = answer
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(_reason(error)) from error
        raise FetchError("too_many_redirects")

    async def _request(self, url: str, most_bytes: int) -> Fetched | str:
        """The body at `url`, or the address that it redirects to."""
        host = self._hosts[_origin(url)]
        async with host.slots, self._requests:
            await self._wait_turn(host)
            async with (
                asyncio.timeout(self._config.seconds),
                self._session.get(URL(url, encoded=True), allow_redirects=False) as response,
            ):
                if response.status in (301, 302, 303, 307, 308):
                    return _redirect_target(response, url)
                if response.status != 200:
                    raise FetchError(f"http_{response.status}")
                _check_opt_out(response)
                data = await _read_bounded(response, most_bytes)
                return Fetched(url=url, content_type=response.headers.get("Content-Type", ""), data=data)

    async def _wait_turn(self, host: _Host) -> None:
        async with host.pace:
            await asyncio.sleep(host.next_request - time.monotonic())
            host.next_request = time.monotonic() + max(self._config.delay_seconds, await self._crawl_delay(host))

    async def _crawl_delay(self, host: _Host) -> float:
        rules = host.robots.result() if host.robots and host.robots.done() and not host.robots.exception() else None
        return min((rules.crawl_delay(self._config.user_agent) if rules else None) or 0.0, 60.0)

    async def _check_robots(self, url: str) -> None:
        host = self._hosts[_origin(url)]
        if host.robots is None:
            host.robots = asyncio.create_task(self._read_robots(_origin(url)))
        rules = await host.robots
        if rules is None:
            raise FetchError("robots_unavailable")
        if not rules.can_fetch(url, self._config.user_agent):
            raise FetchError("robots")

    async def _read_robots(self, origin: str) -> Protego | None:
        """The rules of `origin`; None, which forbids all, if it fails to say (RFC 9309, 2.3.1.4).

        Raises FetchError where no page of `origin` could be asked for either.
        """
        url = f"{origin}/robots.txt"
        try:
            for _ in range(self._config.redirects + 1):
                answer = await self._request(url, 512_000)
                if isinstance(answer, Fetched):
                    return Protego.parse(answer.data.decode("utf-8", "replace"))
                url = answer
        except FetchError as error:
            return Protego.parse("") if error.reason.startswith("http_4") and error.reason != "http_429" else None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            if _reason(error) in UNREACHABLE:
                raise FetchError(_reason(error)) from error
            return None
        return Protego.parse("")


@asynccontextmanager
async def open_fetcher(config: FetchConfig, allow_network: str = "") -> AsyncGenerator[Fetcher]:
    """A Fetcher that may also reach the networks named in `allow_network`."""
    allowed = parse_networks(allow_network)
    connector = aiohttp.TCPConnector(
        limit=config.connections, ttl_dns_cache=300, socket_factory=lambda info: _guarded_socket(info, allowed)
    )
    headers = {"User-Agent": config.user_agent, "Accept-Encoding": "gzip, deflate"}
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Fetcher(session, config)


@contextmanager
def fetcher_on_a_loop(config: FetchConfig, allow_network: str = "") -> Generator[tuple[asyncio.Runner, Fetcher]]:
    """An event loop of its own and a Fetcher on it, for work that is not asynchronous itself."""
    with asyncio.Runner() as runner:
        door = open_fetcher(config, allow_network)
        fetcher = runner.run(door.__aenter__())
        try:
            yield runner, fetcher
        finally:
            runner.run(door.__aexit__(None, None, None))


def _guarded_socket(address: tuple[Any, ...], allowed: tuple[IPNetwork, ...]) -> socket.socket:
    family, kind, protocol, _, endpoint = address
    if is_forbidden(endpoint[0], allowed):
        # With an errno, as aiohttp passes on only the second argument of an OSError.
        raise ForbiddenAddress(errno.EACCES, "forbidden_address")
    return socket.socket(family=family, type=kind, proto=protocol)


def _origin(url: str) -> str:
    return str(URL(url, encoded=True).origin())


def _redirect_target(response: aiohttp.ClientResponse, url: str) -> str:
    target = canonical(response.headers.get("Location", ""), url)
    if target is None:
        raise FetchError("bad_redirect")
    return target


def _check_opt_out(response: aiohttp.ClientResponse) -> None:
    """Raises FetchError if an X-Robots-Tag header for everyone refuses use."""
    for value in response.headers.getall("X-Robots-Tag", []):
        refused = OPT_OUT & {word.strip().lower() for word in value.split(",")}
        if refused:
            raise FetchError(f"header_{min(refused)}")


async def _read_bounded(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(65536):
        body += piece
        if len(body) > most_bytes:
            raise FetchError("too_large")
    return bytes(body)


def _reason(error: BaseException) -> str:
    if "forbidden_address" in str(error):
        return "forbidden_address"
    kinds: list[tuple[type[BaseException], str]] = [
        (TimeoutError, "timeout"),
        (aiohttp.ClientConnectorDNSError, "dns"),
        (aiohttp.ClientSSLError, "tls"),
        (ssl.SSLError, "tls"),
        (aiohttp.ClientConnectorError, "connect"),
        (aiohttp.ServerDisconnectedError, "connect"),
        (aiohttp.ClientOSError, "connect"),
        (aiohttp.InvalidURL, "bad_address"),
        (aiohttp.ClientPayloadError, "broken_body"),
        (aiohttp.ClientError, "protocol"),
        (OSError, "connect"),
    ]
    return next((reason for kind, reason in kinds if isinstance(error, kind)), "bad_address")
