"""A server on loopback that does what no server should, byte by byte as a test tells it."""

import asyncio
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Behaviour = Callable[["Visit"], Awaitable[None]]
ABSENT = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request, and the socket that it came by."""

    path: str
    fields: dict[str, str]
    """Its header fields, with their names in lower case."""
    at: float
    """When it came, by time.monotonic()."""
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        self.writer.transport.abort()


def answer(status: int = 200, body: bytes = b"", **fields: str) -> bytes:
    """An answer in order; `_` in the names of `fields` stands for `-`."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class StrangeServer:
    """A server in a thread of its own; without a behaviour for a path it answers 404."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict[str, Behaviour])
    visits: list[Visit] = field(default_factory=list[Visit])
    most_at_once: int = 0
    """Most requests that were under way at the same time."""
    port: int = 0
    tls: ssl.SSLContext | None = None
    _at_once: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def say(self, path: str, status: int = 200, body: bytes = b"", **fields: str) -> None:
        """Answers `path` in order."""
        self.say_bytes(path, answer(status, body, **fields))

    def say_bytes(self, path: str, data: bytes, *, close: bool = False) -> None:
        """Answers `path` with exactly `data`, and closes the connection if told to."""

        async def behave(visit: Visit) -> None:
            await visit.send(data)
            if close:
                visit.writer.close()

        self.behaviours[path] = behave

    def paths(self) -> list[str]:
        """What was asked for, robots.txt aside."""
        return [visit.path for visit in self.visits if visit.path != "/robots.txt"]

    def __enter__(self) -> "StrangeServer":
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[started], daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing() and (head := await reader.readuntil(b"\r\n\r\n")):
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as tests make it do
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        request, *lines = head.decode("latin-1").splitlines()
        pairs = (line.split(": ", 1) for line in lines if line)
        fields = {name.lower(): value for name, value in pairs}
        visit = Visit(path=request.split(" ")[1], fields=fields, at=time.monotonic(), writer=writer)
        self.visits.append(visit)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            behave = self.behaviours.get(visit.path.partition("?")[0])
            await (behave(visit) if behave else visit.send(ABSENT))
            if fields.get("connection") == "close":
                writer.close()
        finally:
            self._at_once -= 1
