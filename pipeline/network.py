"""The web as a door: a task's line to the actors that the whole run shares (actors.py), with a deadline."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial

from ray.exceptions import RayActorError

from jobs.command import InputError
from jobs.connect import resolve
from pipeline.addresses import parse_networks
from pipeline.door import Door, Fetched, FetchError
from pipeline.fetch import FetchConfig
from pipeline.fetching.actors import Answer, Handle, Moved, actors_of_cluster, owner, start_actors
from pipeline.fetching.opt_out import NOBODY, read_opt_out
from shards.errors import DatasetError
from shards.location import Location

OpenNetwork = Callable[[], AbstractAsyncContextManager[Door]]
"""Opens a task's door to the web, on the running event loop."""
STORE = "store"
"""The folder of an output in which what was fetched lies until the run is over."""
MOST_MOVES = 5
"""Redirects from one actor's hosts to another's that are followed for one address."""
MOST_LOSSES = 5
"""So often a task asks again when an actor is lost, and gives up what it still owes after that."""


class _Line:
    """One task's talk with one actor."""

    def __init__(self, actor: Handle) -> None:
        self._actor = actor
        self.task = secrets.token_hex(8)
        self._birth = ""
        self._numbers = itertools.count()
        self._waiting = dict[int, tuple[str, int, asyncio.Future[Answer]]]()
        self._unsent = list[int]()
        self._talk: asyncio.Task[None] | None = None

    async def fetch(self, url: str, most_bytes: int) -> Fetched | Moved:
        """The body at `url`, or where it has moved to. Raises FetchError."""
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._waiting[number] = (url, most_bytes, answer)
        self._send_soon(number)
        if self._talk is None or self._talk.done():
            self._talk = asyncio.create_task(self._listen())
        try:
            came = await answer
        finally:
            self._waiting.pop(number, None)
        if isinstance(came, str):
            raise FetchError(came)
        return came

    def close(self) -> None:
        if self._talk:
            self._talk.cancel()
            self._actor.leave.remote(self.task)

    def _send_soon(self, number: int) -> None:
        """What is asked for in one turn of the event loop travels in one call."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append(number)

    def _send(self) -> None:
        numbers, self._unsent = self._unsent, []
        if self._birth:
            self._ask(numbers)

    def _ask(self, numbers: Iterable[int]) -> None:
        requests = [(number, *self._waiting[number][:2]) for number in numbers if number in self._waiting]
        # Whether it arrived shows in the actor's birth: an actor that lost a request has another one.
        self._actor.ask.remote(self.task, requests)

    async def _listen(self) -> None:
        losses = 0
        while self._waiting:
            try:
                birth, answers = await self._actor.answers.remote(self.task, self._birth)
            except RayActorError:
                losses += 1
                self._birth = ""
                if losses > MOST_LOSSES:
                    self._settle((number, "fetcher_lost") for number in list(self._waiting))
                    return
                await asyncio.sleep(1.0)
                continue
            except Exception as error:
                self._settle((number, error) for number in list(self._waiting))
                return
            if birth != self._birth:
                self._birth = birth
                self._ask(self._waiting)
            self._settle(answers)

    def _settle(self, answers: Iterable[tuple[int, Answer]]) -> None:
        for number, answer in answers:
            if number not in self._waiting or (future := self._waiting[number][2]).done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """How a job reaches the web."""

    allow_network: str = ""
    """Networks that are not public and may be reached all the same, separated by commas: 127.0.0.0/8."""
    opt_out: str = ""
    """File with those who do not want to be asked: a domain or an address a line."""
    chunk_seconds: float = 1800.0
    """What a chunk has asked for and not got after this time, in seconds, is `deferred`: --retry-failed asks again."""
    retry_failed: bool = False
    """Ask again for what was deferred, or failed in a way that may pass, and rewrite the chunks concerned."""
    fetch: FetchConfig = field(default_factory=FetchConfig)

    def __post_init__(self) -> None:
        if self.chunk_seconds <= 0:
            raise ValueError(f"chunk_seconds is {self.chunk_seconds}; it must be greater than 0")
        parse_networks(self.allow_network)


@contextmanager
def network_when_needed(config: NetworkConfig, output: Location) -> Generator[Callable[[], OpenNetwork]]:
    """A function that starts the fetching actors of a run when it is first called; they end with the block.

    Raises InputError if the opt-out list cannot be read.
    """
    try:
        opt_out = read_opt_out(resolve("opt_out", config.opt_out)) if config.opt_out else NOBODY
    except (ValueError, DatasetError) as error:
        raise InputError(str(error)) from None
    with ExitStack() as stack:

        @cache
        def start() -> OpenNetwork:
            options = config.fetch, config.allow_network, opt_out, output / STORE, actors_of_cluster()
            actors = stack.enter_context(start_actors(*options))
            return partial(open_network, actors, config.chunk_seconds)

        yield start


@asynccontextmanager
async def open_network(actors: Sequence[Handle], seconds: float) -> AsyncGenerator[Door]:
    """A door to the web through `actors`, which gives what it owes after `seconds` as `deferred`."""
    lines = [_Line(actor) for actor in actors]
    try:
        yield _Deadline(_Hosts(lines), asyncio.get_running_loop().time() + seconds)
    finally:
        for line in lines:
            line.close()


@asynccontextmanager
async def closed_network() -> AsyncGenerator[Door]:
    """A door that gives nothing, for work that has no use for the web."""
    yield _Closed()


@dataclass(frozen=True, slots=True)
class _Closed:
    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        raise FetchError("network_closed")


@dataclass(frozen=True, slots=True)
class _Hosts:
    """A door to all hosts, each by the line to its actor."""

    lines: Sequence[_Line]

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        for _ in range(MOST_MOVES + 1):
            answer = await self.lines[owner(url, len(self.lines))].fetch(url, most_bytes)
            if isinstance(answer, Fetched):
                return answer
            url = answer.url
        raise FetchError("too_many_redirects")


@dataclass(frozen=True, slots=True)
class _Deadline:
    """A door that gives up at a time of the event loop's clock, so that no host holds a chunk open."""

    door: Door
    at: float

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        try:
            async with asyncio.timeout_at(self.at):
                return await self.door.fetch(url, most_bytes)
        except TimeoutError:
            raise FetchError("deferred") from None
