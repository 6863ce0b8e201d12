"""Strange servers, names that resolve as a test says, and a fetcher that is let loose on them."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pytest
from strange_server import StrangeServer

from pipeline.door import FetchError
from pipeline.fetch import FetchConfig, Fetcher, open_fetcher
from pipeline.fetching.opt_out import NOBODY, OptOut

LOOPBACK = "127.0.0.0/8"
QUICK = FetchConfig(delay_seconds=0.0, delay_factor=0.0, retries=0, seconds=3.0)
"""No politeness and no patience, for tests of something else."""


@pytest.fixture
def make_server() -> Iterator[Callable[..., StrangeServer]]:
    """A function that starts one more strange server, over TLS if it is given a context, until the test ends."""
    with ExitStack() as stack:
        yield lambda tls=None: stack.enter_context(StrangeServer(tls=tls))


@pytest.fixture
def strange(make_server) -> StrangeServer:
    """A strange server."""
    return make_server()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port on loopback that is bound, and at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@dataclass
class Outcome:
    """What came of some addresses, each its bytes or the reason why not, and how long that took."""

    found: list[bytes | str]
    seconds: float


@dataclass
class Crawl:
    """Fetches addresses at once by one fetcher, beside an honest host that must come to no harm."""

    neighbour: StrangeServer
    config: FetchConfig = QUICK
    allow: str = LOOPBACK
    opt_out: OptOut = NOBODY

    def __call__(self, *urls: str, most_bytes: int = 10_000_000, **config: float) -> Outcome:
        return asyncio.run(self._fetch(urls, most_bytes, replace(self.config, **config)))

    async def _fetch(self, urls: Sequence[str], most_bytes: int, config: FetchConfig) -> Outcome:
        async with open_fetcher(config, self.allow, self.opt_out) as fetcher:
            started = time.monotonic()
            honest = asyncio.create_task(self._ask_neighbour(fetcher))
            found = await asyncio.gather(*(what_comes(fetcher, url, most_bytes) for url in urls))
            seconds = time.monotonic() - started
            before, after = await honest, await self._ask_neighbour(fetcher)
        assert {before, after} == ({b"unharmed"} if self.allow else {"forbidden_address"})
        return Outcome(found=list(found), seconds=seconds)

    async def _ask_neighbour(self, fetcher: Fetcher) -> bytes | str:
        """What the honest host gives, which has to come soon whatever the strange one does."""
        async with asyncio.timeout(2.5):
            return await what_comes(fetcher, self.neighbour.url("/page"), 100)


async def what_comes(fetcher: Fetcher, url: str, most_bytes: int) -> bytes | str:
    """The bytes at `url`, or the reason why there are none."""
    try:
        return (await fetcher.fetch(url, most_bytes)).data
    except FetchError as error:
        return error.reason


@pytest.fixture
def crawl(make_server) -> Crawl:
    """Fetches addresses at once; the neighbour's page is fetched meanwhile and afterwards, and must come."""
    neighbour = make_server()
    neighbour.say("/page", body=b"unharmed")
    return Crawl(neighbour)


@dataclass
class Names:
    """What names resolve to, and how often each was looked up."""

    addresses: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By name; with several, the first look-up gets the first and the last stays."""
    looked_up: list[str] = field(default_factory=list[str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """How long the look-up of a name takes."""


@pytest.fixture
def names(monkeypatch) -> Names:
    """A resolver that knows what the test tells it; every name below `.test` is 127.0.0.1."""
    known, real = Names(), socket.getaddrinfo

    def look_up(host, port, *args, **options):
        if not host.endswith(".test"):
            return real(host, port, *args, **options)
        known.looked_up.append(host)
        time.sleep(known.seconds.get(host, 0.0))
        addresses = known.addresses.get(host, ["127.0.0.1"])
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return real(address, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known
