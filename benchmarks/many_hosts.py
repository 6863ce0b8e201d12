"""A server on loopback that stands for hundreds of hosts: each has a name and a latency of its own, all give JPEGs.

    names hostN.bench ──stand_in──► 127.0.0.1:port ──► one process: waits as long as host N does, then a JPEG

Nothing but the standard library: whoever is measured against imports this in an environment of its own.
"""

import asyncio
import multiprocessing
import random
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

DOMAIN = ".bench"
LEAST_LATENCY, MOST_LATENCY = 0.002, 0.050
"""Seconds from a request to its answer; each host has its own in between."""
SMALLEST, LARGEST = 100_000, 400_000
"""Bytes of the JPEGs that are served."""
NOTHING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def find_jpegs(material: Path) -> list[Path]:
    """The JPEGs of ordinary pages and data sets below `material` that are as large as those of the web."""
    found = [file for file in sorted(material.rglob("*.jp*g")) if "odd" not in file.parts]
    return [file for file in found if SMALLEST <= file.stat().st_size <= LARGEST]


def addresses(port: int, hosts: int, number: int, seed: int = 0) -> list[str]:
    """So many addresses of pictures, each once, spread over so many hosts in no order."""
    found = [f"http://host{place % hosts}{DOMAIN}:{port}/{place}.jpg" for place in range(number)]
    random.Random(seed).shuffle(found)
    return found


def stand_in() -> None:
    """Makes the hosts' names resolve to loopback, in this process."""
    look_up = socket.getaddrinfo

    def look_up_here(host: Any, *rest: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if str(host).endswith(DOMAIN) else host, *rest, **options)

    socket.getaddrinfo = look_up_here


@contextmanager
def many_hosts(jpegs: Sequence[Path]) -> Generator[int]:
    """Serves `jpegs` from a process of its own; gives its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(jpegs, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(jpegs: Sequence[Path], pipe: Connection) -> None:
    bodies = [_answer(file.read_bytes()) for file in jpegs]

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Hosts(bodies), "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def _answer(body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class _Hosts(asyncio.Protocol):
    """One connection; requests come one at a time, as from any client without pipelining."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        head, self._received = self._received.lower(), b""
        name = head.split(b"host: host", 1)[1].split(b".", 1)[0]
        latency = random.Random(int(name)).uniform(LEAST_LATENCY, MOST_LATENCY)
        asyncio.get_running_loop().call_later(latency, self._send, head)

    def _send(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        number = path[1:].removesuffix(b".jpg")
        self._transport.write(self._bodies[int(number) % len(self._bodies)] if number.isdigit() else NOTHING)
        if b"connection: close" in head:
            self._transport.close()
