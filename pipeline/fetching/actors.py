"""Named actors that speak to the web for all tasks of a run: a host belongs to one of them, by its hash.

    a task's door ── ask: many addresses a call ──► actor k, k = hash of the host ──► Fetcher ──► the web
                  ◄── answers: what came meanwhile ──                            └──► Store: fetched once

So a host's limits hold whatever tasks ask for it, and an address is fetched once a run. An actor that dies is started
again, reads its store, and is asked again for what it still owed. network.py is the tasks' side.
"""

import asyncio
import itertools
import secrets
import time
import zlib
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from pipeline.door import Fetched, FetchError
from pipeline.fetch import Elsewhere, FetchConfig, Fetcher, open_fetcher
from pipeline.fetching.opt_out import OptOut
from pipeline.fetching.store import Store
from shards.location import Location

CPUS_PER_ACTOR = 8
"""An actor takes one core at full speed; what it fetches keeps about so many cores busy with decoding."""
MOST_RESTARTS = 3
MOST_OTHERS = 1_000_000
"""Addresses that gave nothing or led elsewhere and are not asked again in this run; beyond that the oldest go."""
REPLY_BYTES = 16_000_000
"""A reply that has reached this size leaves the rest to the next one."""
HELD_BYTES = 64_000_000
"""While so many bytes wait to be collected by one task, nothing more is fetched for it."""
POLL_SECONDS = 10.0
"""A call for answers returns after this time without one."""
FORGOTTEN_SECONDS = 600.0
"""A task that has not called for so long is dead, and what waits for it is dropped; if it is not, it asks again."""
LINGER_SECONDS = 0.05
"""A first answer waits so long for others to travel with it: a call to an actor costs about a millisecond. With 0.005 a
pair costs 8 % more CPU."""
CLOSING_SECONDS = 600.0
"""For putting the last segments of the store on an object store."""
Handle = Any
"""Of an actor; Ray's own types do not know what `remote` returns of a coroutine."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An address redirects to one whose host belongs to another actor."""

    url: str


Answer = Fetched | Moved | str | Exception
"""A body, where to ask instead, the reason why there is none, or the bug that kept it."""
Request = tuple[int, str, int]
"""A number that names it to the task that asks, the address, and the most bytes."""


@dataclass(slots=True)
class _Task:
    """What an actor holds for one task."""

    answers: list[tuple[int, Answer]] = field(default_factory=list[tuple[int, Answer]])
    bytes: int = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    called: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class _Shared:
    """A fetch under way, and how many wait for it."""

    fetch: asyncio.Task[Fetched | Moved | str]
    waiting: int = 0


class HostFetcher:
    """Fetches from its own hosts for every task of the run; a Ray actor."""

    def __init__(
        self, config: FetchConfig, allow_network: str, opt_out: OptOut, store: Location, place: int, actors: int
    ) -> None:
        self._owns = lambda url: owner(url, actors) == place
        self._fetcher_options = config, allow_network, opt_out
        self._opt_out = opt_out
        self._store = Store(store)
        self._birth = secrets.token_hex(8)
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()
        self._fetcher: Fetcher | None = None
        self._tasks = dict[str, _Task]()
        self._shared = dict[str, _Shared]()
        self._others = dict[str, Moved | str]()

    async def ask(self, task: str, requests: Sequence[Request]) -> None:
        """Begins with `requests`; what comes of them waits until `task` collects it."""
        for name, other in list(self._tasks.items()):
            if time.monotonic() - other.called > FORGOTTEN_SECONDS:
                await self.leave(name)
        asking = self._tasks.setdefault(task, _Task())
        for request in requests:
            serving = asyncio.create_task(self._serve(asking, *request))
            asking.serving.add(serving)
            serving.add_done_callback(asking.serving.discard)

    async def answers(self, task: str, birth: str) -> tuple[str, list[tuple[int, Answer]]]:
        """This actor's birth, and answers for `task`; none at once if the task knows of another birth.

        A task that this actor does not know, or no longer, is told of none, and asks again for all that it waits for.
        """
        if birth != self._birth:
            return self._birth, []
        asking = self._tasks.get(task)
        if asking is None:
            return "", []
        asking.called = time.monotonic()
        try:
            async with asyncio.timeout(POLL_SECONDS), asking.changed:
                await asking.changed.wait_for(lambda: asking.answers)
        except TimeoutError:
            return self._birth, []
        await asyncio.sleep(LINGER_SECONDS)
        async with asking.changed:
            sizes = itertools.accumulate(_size(answer) for _, answer in asking.answers)
            number = 1 + sum(size < REPLY_BYTES for size in sizes)
            reply, asking.answers = asking.answers[:number], asking.answers[number:]
            asking.bytes -= sum(_size(answer) for _, answer in reply)
            asking.changed.notify_all()
        return self._birth, reply

    async def leave(self, task: str) -> None:
        """Drops what `task` did not collect, and ends fetches that nobody else waits for."""
        if asking := self._tasks.pop(task, None):
            for serving in list(asking.serving):
                serving.cancel()

    async def close(self) -> None:
        """Ends all fetches, and puts the store's last segment where it belongs."""
        for task in list(self._tasks):
            await self.leave(task)
        await self._open.aclose()
        self._store.close()

    async def _serve(self, asking: _Task, number: int, url: str, most_bytes: int) -> None:
        async with asking.changed:
            await asking.changed.wait_for(lambda: asking.bytes < HELD_BYTES)
        try:
            answer = await self._answer(url, most_bytes)
        except Exception as error:
            # A bug here, or a full disk, belongs to the task that asked: it fails, and Ray tells.
            answer = error
        async with asking.changed:
            asking.answers.append((number, answer))
            asking.bytes += _size(answer)
            asking.changed.notify_all()

    async def _answer(self, url: str, most_bytes: int) -> Fetched | Moved | str:
        if self._opt_out.refuses(url):  # also what an earlier run, without the list, left in the store
            return "opted_out"
        if held := self._store.get(url):
            return held if len(held.data) <= most_bytes else "too_large"
        if url in self._others:
            return self._others[url]
        if url not in self._shared:
            self._shared[url] = _Shared(asyncio.create_task(self._fetch(url, most_bytes)))
        shared = self._shared[url]
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.fetch)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                shared.fetch.cancel()
                del self._shared[url]

    async def _fetch(self, url: str, most_bytes: int) -> Fetched | Moved | str:
        async with self._opening:
            if self._fetcher is None:
                self._fetcher = await self._open.enter_async_context(open_fetcher(*self._fetcher_options))
        try:
            answer = await self._fetcher.fetch(url, most_bytes, self._owns)
        except Elsewhere as error:
            return self._remember(url, Moved(error.url))
        except FetchError as error:
            return self._remember(url, error.reason)
        self._store.put(url, answer)
        return answer

    def _remember(self, url: str, answer: Moved | str) -> Moved | str:
        if answer != "deferred":
            self._others[url] = answer
        if len(self._others) > MOST_OTHERS:
            del self._others[next(iter(self._others))]
        return answer


def _size(answer: Answer) -> int:
    return len(answer.data) if isinstance(answer, Fetched) else 0


def owner(url: str, actors: int) -> int:
    """Which of so many actors the host of `url` belongs to; x.org and www.x.org, which lead to each other, to one."""
    host = (urlsplit(url).hostname or "").rstrip(".").removeprefix("www.")
    return zlib.crc32(host.encode()) % actors


def actors_of_cluster() -> int:
    """How many actors a run has: one for every eight CPUs."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)) // CPUS_PER_ACTOR)


@contextmanager
def start_actors(
    config: FetchConfig, allow_network: str, opt_out: OptOut, store: Location, number: int = 1
) -> Generator[tuple[Handle, ...]]:
    """The actors of a run, `number` of them; they end with the block."""
    run = secrets.token_hex(4)
    made: Any = ray.remote(HostFetcher)
    actors = tuple(
        made.options(
            name=f"flamboyance-fetcher-{run}-{place}",
            num_cpus=0,
            max_restarts=MOST_RESTARTS,
            scheduling_strategy="SPREAD",
        ).remote(config, allow_network, opt_out, store, place, number)
        for place in range(number)
    )
    try:
        yield actors
        # One that is lost has nothing to close, and who asked it counted that.
        with suppress(RayActorError, GetTimeoutError):
            ray.get([actor.close.remote() for actor in actors], timeout=CLOSING_SECONDS)
    finally:
        for actor in actors:
            ray.kill(actor)
