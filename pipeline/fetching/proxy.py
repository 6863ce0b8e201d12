"""The network's door as a web server on loopback, for programs that would fetch by themselves.

    http://127.0.0.1:PORT/TOKEN?url=THE REAL ADDRESS ──► this actor ──► the run's fetching actors ──► the web

Addresses name the real one, instead of the program being told of a proxy: what goes through CONNECT is encrypted, and
could be neither bounded nor judged. So robots.txt, opt-outs, the guard at connect time, bounds, pace and the honest
name are those of every other job. What is not given is an error whose reason phrase is the reason.
"""

import asyncio
import re
import secrets
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import ray
from aiohttp import web
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.command import InputError
from pipeline.door import Fetched, FetchError
from pipeline.network import OpenNetwork

HOST = "127.0.0.1"
PASSED_ON = ("content-type", "x-robots-tag")
"""Header fields of the web's answer that are passed on."""
HTTP_STATUS = re.compile(r"http_([45]\d\d)")
REASON = re.compile(r"HTTP Error \d{3}: ([a-z0-9_]+)")
"""What `urllib` says of an answer of this server that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where the proxies of a run answer: on every machine of the cluster, on loopback, at one port."""

    port: int
    token: str
    """Without which nothing is given: others who can reach loopback may not use our name."""

    def address(self, url: str) -> str:
        """The address of the proxy's own that stands for `url`."""
        return f"http://{HOST}:{self.port}/{self.token}?url={quote(url, safe='')}"


def reason_in(message: str) -> str:
    """The reason that this server gave, in what `urllib` says; nothing if it did not come from here."""
    found = REASON.fullmatch(message)
    return found[1] if found else ""


class ProxyServer:
    """The server of one machine, an actor of Ray."""

    def __init__(self, network: OpenNetwork, token: str, most_bytes: int, seconds: float) -> None:
        self._network = network
        self._token = token
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._open = AsyncExitStack()

    async def start(self, port: int) -> int:
        """Answers at `port`, or at any that is free if it is 0; returns the port. Raises OSError if it is taken."""
        self._door = await self._open.enter_async_context(self._network())
        application = web.Application()
        application.router.add_get("/{token}", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        self._open.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, HOST, port, backlog=4096)
        await site.start()
        return runner.addresses[0][1]

    async def close(self) -> None:
        await self._open.aclose()

    async def _answer(self, request: web.Request) -> web.Response:
        if not secrets.compare_digest(request.match_info["token"].encode(), self._token.encode()):
            return _refusal("forbidden_token")
        try:
            async with asyncio.timeout(self._seconds):
                return _given(await self._door.fetch(request.query.get("url", ""), self._most_bytes))
        except TimeoutError:
            return _refusal("deferred")
        except FetchError as error:
            return _refusal(error.reason)


def _given(answer: Fetched) -> web.Response:
    response = web.Response(body=answer.data)
    for name, value in answer.headers:
        if name.lower() in PASSED_ON:
            response.headers.add(name, value)
    return response


def _refusal(reason: str) -> web.Response:
    """An error that says `reason`; with the web's own status if it had one."""
    found = HTTP_STATUS.fullmatch(reason)
    return web.Response(status=int(found[1]) if found else HTTPStatus.BAD_GATEWAY, reason=reason)


@contextmanager
def start_proxies(network: OpenNetwork, most_bytes: int, seconds: float) -> Generator[Proxy]:
    """A server on each machine of the cluster, which end with the block; an address that takes longer is `deferred`.

    Raises InputError if the port that the first one got is taken on another machine.
    """
    made: Any = ray.remote(ProxyServer)
    machines = {node["NodeManagerAddress"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}
    token, servers = secrets.token_urlsafe(16), list[Any]()
    port: Any = 0
    try:
        for machine, node in machines.items():
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            server = made.options(num_cpus=0, max_concurrency=10_000, scheduling_strategy=here)
            servers.append(server.remote(network, token, most_bytes, seconds))
            try:
                port = ray.get(servers[-1].start.remote(port))
            except OSError as error:
                raise InputError(f"port {port} of {machine} is taken, run the command again: {error}") from None
        yield Proxy(port=port, token=token)
    finally:
        for server in servers:
            ray.kill(server)
