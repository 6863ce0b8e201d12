"""Where a connection may lead: names are resolved within bounds, and machines that are not public are refused.

The refusal sits where the socket is made. It sees the numeric address that is about to be connected to, so a literal
address, an odd spelling, a redirect and a name that resolves elsewhere the second time all meet it.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.addresses import IPNetwork, is_forbidden
from pipeline.fetching.failures import FORBIDDEN
from pipeline.fetching.hosts import IDLE_SECONDS

LOOKUPS = 32
"""Names looked up at once; a name server that does not answer holds no more threads than these."""
LOOKUP_SECONDS = 10.0
"""Longest wait for a name, in seconds."""
REMEMBERED_SECONDS = 300
"""How long an answer is used, in seconds. A name that moves meanwhile is asked for where it was."""
REMEMBERED_NAMES = 10_000


class ForbiddenAddress(OSError):
    """A name led to a machine that is not public."""


class Resolver(AbstractResolver):
    """The system's resolver in a few threads of its own, so that slow names hold up nothing but other names."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The numeric addresses of `host`. Raises OSError."""
        lookup = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
        try:
            return await asyncio.wait_for(lookup, LOOKUP_SECONDS)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, f"no name server answered for {host}") from None

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(endpoint[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, endpoint in found
    ]


def make_connector(allowed: Sequence[IPNetwork]) -> aiohttp.TCPConnector:
    """A connector that verifies TLS and reaches public machines and the `allowed` networks alone."""
    return aiohttp.TCPConnector(
        limit=0,  # who may connect is the business of hosts.py
        ssl=ssl.create_default_context(),
        resolver=Resolver(),
        ttl_dns_cache=REMEMBERED_SECONDS,
        dns_cache_max_size=REMEMBERED_NAMES,
        keepalive_timeout=IDLE_SECONDS,
        socket_factory=lambda info: _guarded_socket(info, allowed),
    )


def _guarded_socket(address: tuple[Any, ...], allowed: Sequence[IPNetwork]) -> socket.socket:
    family, kind, protocol, _, endpoint = address
    if is_forbidden(endpoint[0], allowed):
        # With an errno, as aiohttp passes on only the second argument of an OSError.
        raise ForbiddenAddress(errno.EACCES, FORBIDDEN)
    return socket.socket(family=family, type=kind, proto=protocol)
