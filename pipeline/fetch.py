"""The network as a door: bounded, guarded at connect time, polite to each host, and honest in its name.

    fetch: opted out? ─► robots.txt ─► the host's turn ─► one request ─► a body, or a redirect: from the start
           opt_out.py    robots.py     hosts.py           guard.py,      failures.py says what is tried again
                                                          bodies.py

Whatever is not given raises FetchError with a reason that the job counts.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from pipeline.addresses import canonical, parse_networks
from pipeline.door import Fetched, FetchError
from pipeline.fetching import robots
from pipeline.fetching.bodies import ACCEPTED, MOST_RATIO, BodyError, Unpacker
from pipeline.fetching.failures import RETRIED, reason_of
from pipeline.fetching.guard import make_connector
from pipeline.fetching.hosts import Host, Hosts, Manners, retry_after
from pipeline.fetching.opt_out import NOBODY, OptOut

VERSION = "0.1"
REDIRECTS = (301, 302, 303, 307, 308)
BUSY = (429, 503)
"""Statuses of a host that is asked too often."""
READ_AHEAD = 2**19
"""Bytes of a body that may come before they are read; most images are whole by then, and nothing has to be paused."""


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """How the web is asked; none of it changes what a document holds."""

    contact: str = "no contact given"
    """An address or e-mail that a site's owner can write to; part of the user agent."""
    connections: int = 256
    """Requests under way at once, in one worker."""
    connections_per_host: int = 2
    """Requests under way at once to one host, in one worker."""
    delay_seconds: float = 0.25
    """Least time between two requests to one host, in seconds; a longer Crawl-delay wins."""
    delay_factor: float = 1.0
    """The time between two requests to one host is at least this many times what it takes to answer."""
    most_delay_seconds: float = 60.0
    """Longest time between two requests that a host's slowness alone can lead to, in seconds."""
    patience_seconds: float = 120.0
    """An address whose host asks for a longer pause than this, in seconds, is `deferred` instead of waited for."""
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
    compression_ratio: float = MOST_RATIO
    """Largest ratio of a body's decompressed to its compressed size, beyond its first megabyte."""

    def __post_init__(self) -> None:
        if not self.contact.isprintable() or not self.contact.isascii():
            raise ValueError(f"fetch.contact is {self.contact!r}; it must be printable ASCII")
        for name in ("connections", "connections_per_host", "seconds", "page_bytes", "image_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"fetch.{name} is {getattr(self, name)}; it must be greater than 0")
        for name in (
            "delay_seconds", "delay_factor", "most_delay_seconds", "patience_seconds", "redirects", "retries",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"fetch.{name} is {getattr(self, name)}; it must be 0 or greater")
        if self.compression_ratio < 1:
            raise ValueError(f"fetch.compression_ratio is {self.compression_ratio}; it must be 1 or greater")

    @property
    def user_agent(self) -> str:
        return f"{robots.NAME}/{VERSION} (+{self.contact})"

    @property
    def manners(self) -> Manners:
        return Manners(**{name: getattr(self, name) for name in Manners.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one request is for."""

    most_bytes: int
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Header fields beside those of every request."""
    status: int = 200
    """The status of an answer that has it."""
    beginning: bool = False
    """Of a longer body the beginning is taken, instead of nothing."""
    follows: Callable[[str], bool] = lambda url: True
    """Whether a redirect to an address is followed; one that is not raises Elsewhere."""


Ask = Callable[[URL, Wanted], Awaitable[Fetched | URL]]
"""One request: what came, or the address that it redirects to. Raises FetchError."""


class Elsewhere(FetchError):
    """An address redirects to one that somebody else is to ask for."""

    def __init__(self, url: str) -> None:
        super().__init__("elsewhere")
        self.url = url


class Fetcher:
    """Fetches addresses concurrently; made by `open_fetcher`, used on one event loop."""

    def __init__(self, session: aiohttp.ClientSession, config: FetchConfig, opt_out: OptOut) -> None:
        self._session = session
        self._config = config
        self._opt_out = opt_out
        self._hosts = Hosts(config.manners)
        self._robots = robots.RobotsFiles(self._read_robots)

    async def fetch(self, url: str, most_bytes: int, follows: Callable[[str], bool] = lambda url: True) -> Fetched:
        """The body at `url`, at most `most_bytes` long. Raises FetchError, and Elsewhere where `follows` says no."""
        return await self._persist(url, self._ask_politely, Wanted(most_bytes=most_bytes, follows=follows))

    async def fetch_range(self, url: str, start: int, length: int) -> Fetched:
        """The `length` bytes from `start` of what lies at `url`, fewer at its end (RFC 9110, 14.2).

        Raises FetchError, with the reason `no_range` if the server sends something else than was asked for.
        """
        fields = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        answer = await self._persist(url, self._ask_politely, Wanted(most_bytes=length, fields=fields, status=206))
        given = next((value for name, value in answer.headers if name.lower() == "content-range"), "")
        if not given.startswith(f"bytes {start}-"):
            raise FetchError("no_range")
        return answer

    async def close(self) -> None:
        await self._robots.close()

    async def _read_robots(self, url: str) -> bytes:
        wanted = Wanted(most_bytes=robots.MOST_BYTES, beginning=True)
        return (await self._persist(url, self._request, wanted)).data

    async def _persist(self, url: str, ask: Ask, wanted: Wanted) -> Fetched:
        """What `ask` gives for `url`, tried again while the failure can pass."""
        address = _parse(url)
        for attempt in range(self._config.retries):
            try:
                return await self._follow(address, ask, wanted)
            except FetchError as error:
                if error.reason not in RETRIED:
                    raise
            await asyncio.sleep(2**attempt * random.uniform(0.5, 1.0))
        return await self._follow(address, ask, wanted)

    async def _follow(self, url: URL, ask: Ask, wanted: Wanted) -> Fetched:
        """What `ask` gives for `url` or for the address that it redirects to."""
        for _ in range(self._config.redirects + 1):
            answer = await ask(url, wanted)
            if isinstance(answer, Fetched):
                return answer
            if not wanted.follows(str(answer)):
                raise Elsewhere(str(answer))
            url = answer
        raise FetchError("too_many_redirects")

    async def _ask_politely(self, url: URL, wanted: Wanted) -> Fetched | URL:
        """One request, unless the site minds."""
        if self._opt_out.refuses(str(url)):
            raise FetchError("opted_out")
        rules = await self._robots.of(url)
        if not rules.allow(str(url)):
            raise FetchError("robots")
        self._hosts.of(url).crawl_delay = rules.crawl_delay
        return await self._request(url, wanted)

    async def _request(self, url: URL, wanted: Wanted) -> Fetched | URL:
        """One request, when it is its host's turn."""
        host = self._hosts.of(url)
        async with self._hosts.turn(host):
            started = time.monotonic()
            try:
                async with asyncio.timeout(self._config.seconds), self._open(url, host, wanted) as response:
                    host.answered(time.monotonic() - started, well=response.status == wanted.status)
                    return await self._read(response, url, host, wanted)
            except BodyError as error:
                raise FetchError(error.reason) from error
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
                host.answered(time.monotonic() - started, well=False)
                raise FetchError(reason_of(error)) from error

    def _open(self, url: URL, host: Host, wanted: Wanted) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        fields = wanted.fields if self._hosts.keeps_open(host) else {**wanted.fields, "Connection": "close"}
        return self._session.get(url, headers=fields, allow_redirects=False)

    async def _read(self, response: aiohttp.ClientResponse, url: URL, host: Host, wanted: Wanted) -> Fetched | URL:
        if response.status in REDIRECTS:
            return _redirect_target(response, url)
        if response.status in BUSY:
            host.refused(retry_after(response.headers.get("Retry-After")))
        if response.status != wanted.status:
            whole_for_part = (response.status, wanted.status) == (200, 206)
            raise FetchError("no_range" if whole_for_part else f"http_{response.status}")
        directive = robots.refusal(response.headers.getall("X-Robots-Tag", []))
        if directive and not wanted.beginning:  # robots.txt itself is for robots, whatever its fields say
            raise FetchError(f"header_{directive}")
        return Fetched(
            url=str(url),
            content_type=response.headers.get("Content-Type", ""),
            data=await _read_body(response, wanted, self._config.compression_ratio),
            headers=tuple(response.headers.items()),
        )


@asynccontextmanager
async def open_fetcher(
    config: FetchConfig, allow_network: str = "", opt_out: OptOut = NOBODY
) -> AsyncGenerator[Fetcher]:
    """A Fetcher that may also reach the networks named in `allow_network`, and leaves those of `opt_out` alone."""
    async with aiohttp.ClientSession(
        connector=make_connector(parse_networks(allow_network)),
        headers={"User-Agent": config.user_agent, "Accept-Encoding": ACCEPTED},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        auto_decompress=False,
        read_bufsize=READ_AHEAD,
    ) as session:
        fetcher = Fetcher(session, config, opt_out)
        try:
            yield fetcher
        finally:
            await fetcher.close()


@contextmanager
def fetcher_on_a_loop(
    config: FetchConfig, allow_network: str = "", opt_out: OptOut = NOBODY
) -> Generator[tuple[asyncio.Runner, Fetcher]]:
    """An event loop of its own and a Fetcher on it, for work that is not asynchronous itself."""
    with asyncio.Runner() as runner:
        door = open_fetcher(config, allow_network, opt_out)
        fetcher = runner.run(door.__aenter__())
        try:
            yield runner, fetcher
        finally:
            runner.run(door.__aexit__(None, None, None))


def _parse(url: str) -> URL:
    """The address in the spelling that is sent. Raises FetchError unless it is http(s) without credentials."""
    address = canonical(url)
    if address is None:
        raise FetchError("bad_address")
    return URL(address, encoded=True)


def _redirect_target(response: aiohttp.ClientResponse, url: URL) -> URL:
    location = response.headers.get("Location", "")
    target = canonical(location, str(url)) if location else None
    if target is None:
        raise FetchError("bad_redirect")
    return URL(target, encoded=True)


async def _read_body(response: aiohttp.ClientResponse, wanted: Wanted, most_ratio: float) -> bytes:
    if (response.content_length or 0) > wanted.most_bytes and not wanted.beginning:
        raise FetchError("too_large")
    unpacker, body, length = Unpacker(response.headers.get("Content-Encoding", ""), most_ratio), list[bytes](), 0
    async for data in response.content.iter_any():
        for piece in unpacker.feed(data):
            body.append(piece)
            length += len(piece)
            if length > wanted.most_bytes and wanted.beginning:
                return b"".join(body)[: wanted.most_bytes]
            if length > wanted.most_bytes:
                raise FetchError("too_large")
    unpacker.finish()
    return b"".join(body)
