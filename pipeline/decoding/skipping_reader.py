"""Reading with PyAV what the instants need and no more: every packet is read twice, few are decoded.

    packets ──► their stamps ──► which frames are shown at the instants ──► the packets that these need ──► decoded

The frames are those of `PyAVReader`, bit for bit, since only what no wanted frame refers to is left out. Whatever is
out of the ordinary (stamps that are missing or twice there, damage, frames that do not come) is left to that reader.
Damage in packets that no wanted frame needs is not seen.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from PIL import Image

from pipeline.decoding.packets import Nature, Stamp, classifier, needed
from pipeline.decoding.pyav_reader import decode_alone, packets_of
from pipeline.decoding.scaling import Scaler
from pipeline.decoding.timeline import Timed, shown_at

EARLIER = 10
"""Seconds before the first presentation time at which decoding surely begins, where a seek goes to the file's start."""


class Unplanned(Exception):
    """What to decode cannot be said from the packets of this file alone."""


class SkippingReader:
    """A Reader whose items are numbers of packets; it gives the pictures of the first `max_frames` instants."""

    def __init__(
        self,
        container: InputContainer,
        stream: av.VideoStream,
        short_side: int,
        frames_per_second: Fraction,
        max_frames: int,
    ) -> None:
        """Raises Unplanned."""
        self.broken = ""
        self._container = container
        self._stream = stream
        self._scaler = Scaler(short_side)
        self._stamps = read_stamps(container, stream)
        self._timeline = list(timeline_of(self._stamps, stream.time_base or Fraction(0)))
        shown = itertools.islice(shown_at(self.timeline(), frames_per_second), max_frames)
        self._wanted = {item for _, item in shown}
        self._decoded = self._decode()

    def timeline(self) -> Iterator[Timed[int]]:
        return iter(self._timeline)

    def picture(self, item: int) -> Image.Image:
        """Raises Break, and Unplanned if the frame does not come out of the decoder."""
        for frame in self._decoded:
            if frame.pts == self._stamps[item].start:
                return self._scaler.picture(frame, self._stream.sample_aspect_ratio)
        raise Unplanned(f"packet {item} gave no frame")

    def duration(self) -> Fraction:
        return max(timed.end for timed in self._timeline) - self._timeline[0].start

    def _decode(self) -> Iterator[av.VideoFrame]:
        """The wanted frames, in order of presentation."""
        starts = {self._stamps[number].start for number in self._wanted}
        decoder = self._stream.codec_context
        decode_alone(decoder)
        try:
            packets = self._again()
            for run in needed(self._stamps, self._wanted):
                for number in run:
                    packet = next(packet for place, packet in packets if place == number)
                    yield from (frame for frame in packet.decode() if frame.pts in starts)
                yield from (frame for frame in decoder.decode(None) if frame.pts in starts)
                decoder.flush_buffers()
        except MemoryError:
            raise
        except (FFmpegError, StopIteration, ValueError) as error:
            raise Unplanned(str(error)) from error

    def _again(self) -> "Iterator[tuple[int, Packet[av.VideoStream]]]":
        """The same packets once more, numbered. Raises Unplanned where they are others."""
        first = min(stamp.start for stamp in self._stamps)
        early = int(EARLIER / (self._stream.time_base or 1))
        self._container.seek(first - early, stream=self._stream)
        packets = (packet for packet in packets_of(self._container, self._stream) if packet.size)
        for place, packet in enumerate(packets):
            if packet.pts != self._stamps[place].start:
                raise Unplanned(f"packet {place} is another on second reading")
            yield place, packet


def read_stamps(container: InputContainer, stream: av.VideoStream) -> list[Stamp]:
    """Of every packet. Raises Unplanned if one has none, is damaged, or is in a codec that is not known here."""
    codec = stream.codec_context.codec
    nature_of = classifier(codec.canonical_name, codec.intra_only, stream.codec_context.extradata or b"")
    if nature_of is None:
        raise Unplanned(f"little is known of packets in {codec.canonical_name}")
    rate, clock = stream.average_rate, stream.time_base
    frame_ticks = int(1 / rate // clock) if rate and clock else 0
    stamps: list[Stamp] = []
    try:
        for packet in packets_of(container, stream):
            if packet.size:
                stamps.append(stamp_of(packet, nature_of(bytes(packet)), frame_ticks))
    except FFmpegError as error:
        raise Unplanned(str(error)) from error
    shown = [stamp.start for stamp in stamps if stamp.nature.shown]
    if not shown or len(shown) != len(set(shown)):
        raise Unplanned("there are no packets, or two at one time")
    return stamps


def timeline_of(stamps: list[Stamp], clock: Fraction) -> Iterator[Timed[int]]:
    """In order of presentation; the items are numbers of packets."""
    shown = [number for number, stamp in enumerate(stamps) if stamp.nature.shown]
    for number in sorted(shown, key=lambda number: stamps[number].start):
        yield Timed(start=stamps[number].start * clock, end=stamps[number].end * clock, item=number)


def stamp_of(packet: "Packet[av.VideoStream]", nature: Nature, frame_ticks: int) -> Stamp:
    """`frame_ticks` is what a frame lasts of which the packet says nothing. Raises Unplanned."""
    if packet.pts is None or packet.is_corrupt:
        raise Unplanned("a packet has no time, or is damaged")
    return Stamp(
        start=packet.pts,
        end=packet.pts + (packet.duration or frame_ticks),
        nature=replace(nature, shown=False) if packet.is_discard else nature,
    )
