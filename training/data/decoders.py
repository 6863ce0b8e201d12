"""Samples made in processes of their own, given in the order in which they were asked for.

    batches of positions ──► requests ──► decoder with the least to do ──► pixels in shared memory, the rest by socket
                                                                             └──► batch after batch, in order

How many decoders there are and how fast each of them is changes nothing of what is given. A sample has a slot of the
shared memory from when it is asked for until its batch was used, which bounds what is made ahead.
"""

import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np

from training.data.appearance import Pixels
from training.data.collate import DecodedSample
from training.data.decoder import answer
from training.data.maker import Made
from training.data.pictures import BadMedia
from training.data.slots import Slots
from training.data.source import DECODER_DIED, Request, Source
from training.data.stream import Stream

BACKLOG = 8
"""Requests that a decoder holds at most, so that it has work while nobody looks after it."""
TRIES = 2
"""Decoders that may die of a sample before it is passed over; the first death may have had another reason."""
ROOT = Path(__file__).parents[2]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A worker's part of one global batch."""

    dataset: str
    positions: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A sample as it comes; its pixels stand until the next batch is asked for."""

    position: int
    """That was wanted."""
    request: Request
    """That it became."""
    decoded: DecodedSample


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """A sample that was asked for."""

    position: int
    request: Request
    offset: int
    """Of its slot, in bytes."""
    made: Made | None = None
    deaths: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoder:
    """A process, and what it was asked in order: the first is what it works on."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    held: deque[Order] = field(default_factory=deque[Order])


def decode_here(streams: Mapping[str, Stream], wanted: Iterable[Wanted]) -> Iterator[list[Delivered]]:
    """The batches, each sample made in this process when its batch is asked for."""
    for batch in wanted:
        yield [_decode(streams[batch.dataset], position) for position in batch.positions]


def _decode(stream: Stream, position: int) -> Delivered:
    request, pixels = stream.source.request(position), np.empty(stream.maker.most_pixels, dtype=np.uint8)
    while not isinstance(made := answer(stream.maker, request, pixels), Made):
        request = stream.source.replace(request, made)
    return _deliver(stream.source, position, request, made, pixels)


def _deliver(source: Source, position: int, request: Request, made: Made, pixels: Pixels) -> Delivered:
    source.give(request)
    decoded = DecodedSample(sample=made.sample, frames=made.frames, pixels=pixels[: sum(made.frames)])
    return Delivered(position=position, request=request, decoded=decoded)


@contextmanager
def decoders(streams: Mapping[str, Stream], *, processes: int, slots: Mapping[str, int]) -> Generator["Decoders"]:
    """Running decoders. `slots`: how many samples of each dataset may be asked for and not yet used up."""
    pool = Decoders(streams, slots)
    try:
        pool.start(processes)
        yield pool
    finally:
        pool.stop()


class Decoders:
    """The decoders of one worker, for all datasets of its mixture; made by `decoders`."""

    def __init__(self, streams: Mapping[str, Stream], slots: Mapping[str, int]) -> None:
        self._sources = {name: stream.source for name, stream in streams.items()}
        self._makers = {name: stream.maker for name, stream in streams.items()}
        self._slots = Slots({name: maker.most_pixels for name, maker in self._makers.items()}, slots)
        self._decoders = list[Decoder]()

    def start(self, processes: int) -> None:
        """Starts that many decoders."""
        self._decoders = [self._start() for _ in range(processes)]
        for decoder in self._decoders:
            self._tell(decoder)

    def stop(self) -> None:
        """Ends the decoders, whatever they do."""
        for decoder in self._decoders:
            decoder.process.kill()
            decoder.process.wait()
            decoder.connection.close()
        self._slots.close()

    def batches(self, wanted: Iterable[Wanted]) -> Iterator[list[Delivered]]:
        """The batches in order. The slots of one are free again when the next is asked for.

        Raises what `Source` raises of bad samples and shards, and RuntimeError for a fault of our own.
        """
        asked = deque[tuple[Wanted, list[Order]]]()
        positions = _positions(wanted, asked)
        following = next(positions, None)
        while asked:
            while following and self._ask(*following):
                following = next(positions, None)
            batch, orders = asked[0]
            if len(orders) < len(batch.positions) or any(order.made is None for order in orders):
                self._receive()
                continue
            yield [self._deliver(order) for order in orders]
            for order in orders:
                self._slots.give_back(batch.dataset, order.offset)
            asked.popleft()

    def _ask(self, dataset: str, position: int, orders: list[Order]) -> bool:
        """Orders the sample if there is a slot for it, and a decoder that has time."""
        if all(len(decoder.held) >= BACKLOG for decoder in self._decoders):
            return False
        offset = self._slots.take(dataset)
        if offset is None:
            return False
        order = Order(position=position, request=self._sources[dataset].request(position), offset=offset)
        orders.append(order)
        self._send(order)
        return True

    def _send(self, order: Order) -> None:
        decoder = min(self._decoders, key=lambda decoder: len(decoder.held))
        decoder.held.append(order)
        with suppress(ConnectionError):  # it died, which shows when all that it has answered was received
            decoder.connection.send((order.request, order.offset))

    def _receive(self) -> None:
        """Waits for at least one answer, or death, and sees to it."""
        ready = wait([decoder.connection for decoder in self._decoders])
        for decoder in [decoder for decoder in self._decoders if decoder.connection in ready]:
            try:
                outcome = decoder.connection.recv()
            except (EOFError, ConnectionError):
                self._bury(decoder)
            else:
                self._accept(decoder.held.popleft(), outcome)

    def _accept(self, order: Order, outcome: Made | Exception) -> None:
        """Keeps what was made; asks for the next of the lane where nothing was."""
        if isinstance(outcome, Made):
            order.made = outcome
        else:
            order.request = self._sources[order.request.dataset].replace(order.request, outcome)
            order.deaths = 0
            self._send(order)

    def _bury(self, dead: Decoder) -> None:
        """Puts another decoder in the place of one that died, and asks again for what it held."""
        status = dead.process.wait()
        dead.connection.close()
        held = self._describe(dead.held[0].request) if dead.held else "nothing"
        log.error("decoder %d ended with status %d while it held %s", dead.process.pid, status, held)
        started = self._start()
        self._tell(started)
        self._decoders[self._decoders.index(dead)] = started
        for place, order in enumerate(dead.held):
            order.deaths += place == 0
            if order.deaths >= TRIES:
                self._accept(order, BadMedia(DECODER_DIED))
            else:
                self._send(order)

    def _describe(self, request: Request) -> str:
        return self._sources[request.dataset].describe(request)

    def _deliver(self, order: Order) -> Delivered:
        assert order.made
        dataset = order.request.dataset
        pixels = self._slots.pixels(dataset, order.offset)
        return _deliver(self._sources[dataset], order.position, order.request, order.made, pixels)

    def _start(self) -> Decoder:
        ours, theirs = socket.socketpair()
        with theirs:
            files = theirs.fileno(), self._slots.file
            process = subprocess.Popen(
                [sys.executable, "-m", "training.data.decoder", *map(str, files)],
                env={**os.environ, "PYTHONPATH": _python_path(), "TOKENIZERS_PARALLELISM": "false"},
                stdin=subprocess.DEVNULL,
                pass_fds=files,
                start_new_session=True,  # so that Ctrl-C reaches who asks, which ends it
            )
        return Decoder(process=process, connection=Connection(ours.detach()))

    def _tell(self, decoder: Decoder) -> None:
        """Hands the makers to a decoder that has just been started."""
        try:
            decoder.connection.send(self._makers)
        except ConnectionError:
            status = decoder.process.wait()
            raise RuntimeError(f"a decoder ended with status {status} as it started; it says why above") from None


def _positions(
    wanted: Iterable[Wanted], asked: deque[tuple[Wanted, list[Order]]]
) -> Iterator[tuple[str, int, list[Order]]]:
    """Dataset and position of each sample, and the list that its order belongs into, which is added to `asked`."""
    for batch in wanted:
        orders = list[Order]()
        asked.append((batch, orders))
        for position in batch.positions:
            yield batch.dataset, position, orders


def _python_path() -> str:
    """This checkout first, as under `ray job submit`, then what this process was given."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
