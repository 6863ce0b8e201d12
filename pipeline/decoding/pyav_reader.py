"""Reading with PyAV: every frame is decoded, in order; only those shown at an instant are converted."""

import importlib
from collections.abc import Iterator
from fractions import Fraction
from typing import IO

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition
from PIL import Image

from pipeline.decoding.protocol import VideoError
from pipeline.decoding.scaling import Scaler
from pipeline.decoding.timeline import Timed, in_order

LATE_MODULES = ("av.subtitles.codeccontext", "av.subtitles.stream", "av.subtitles.subtitle")
"""What PyAV imports when it is first needed, by when a confined child can open no file any more."""
READ_BYTES = 1 << 18
BYTES_PER_PIXEL = 6  # of a frame in its largest common form, 4:4:4 of 16 bits


for _module in LATE_MODULES:
    importlib.import_module(_module)


def open_container(file: IO[bytes], container: str) -> InputContainer:
    """Opens `file` with the one demuxer named; raises VideoError."""
    try:
        return av.open(file, "r", format=container, metadata_errors="replace", buffer_size=READ_BYTES)
    except MemoryError:
        raise
    except FFmpegError as error:
        raise VideoError("damaged_container", f"the {container} container cannot be opened: {error}") from error


def video_stream(container: InputContainer) -> av.VideoStream:
    """The first stream of moving pictures, the only one that will be read; raises VideoError."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        covers = len(container.streams.video)
        raise VideoError("no_video_stream", f"there is no stream of moving pictures, and {covers} cover pictures")
    for stream in container.streams:
        if stream is not moving[0]:
            stream.discard = Discard.all
    if not getattr(moving[0], "codec_context", None):  # None for a codec that this FFmpeg was built without
        raise VideoError("unknown_codec", "the video stream is in a codec that FFmpeg cannot decode")
    return moving[0]


def packets_of(container: InputContainer, stream: av.VideoStream) -> "Iterator[Packet[av.VideoStream]]":
    """Those of `stream`, and an empty one at the end. Raises FFmpegError."""
    try:
        yield from container.demux(stream)
    except IndexError:  # behind the last packet, PyAV 18 may look for streams that appeared after opening
        return


def decode_alone(decoder: av.VideoCodecContext) -> None:
    """In one thread: a job runs a child for each CPU, and threads took 10 to 20 % more CPU time."""
    decoder.thread_count = 1
    decoder.thread_type = "NONE"


class PyAVReader:
    """A Reader whose items are decoded frames."""

    def __init__(self, container: InputContainer, stream: av.VideoStream, short_side: int) -> None:
        self.broken = ""
        self._container = container
        self._stream = stream
        self._scaler = Scaler(short_side)
        self._start: Fraction | None = None
        self._end = Fraction(0)
        decode_alone(stream.codec_context)

    def timeline(self) -> Iterator[Timed[av.VideoFrame]]:
        for timed in in_order(self._timed()):
            if self._start is None:
                self._start = self._end = timed.start
            self._end = max(self._end, timed.end)
            yield timed

    def picture(self, item: av.VideoFrame) -> Image.Image:
        return self._scaler.picture(item, self._stream.sample_aspect_ratio)

    def duration(self) -> Fraction:
        """Reads on without decoding to where the packets end, as the duration in a header may lie."""
        for packet in self._unread() if not self.broken else ():
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None and not packet.is_discard:
                self._end = max(self._end, (stamp + (packet.duration or 0)) * packet.time_base)
        return self._end - (self._start or 0)

    def _unread(self) -> "Iterator[Packet[av.VideoStream]]":
        try:
            yield from packets_of(self._container, self._stream)
        except MemoryError:
            raise
        except FFmpegError as error:
            self.broken = str(error)

    def _timed(self) -> Iterator[Timed[av.VideoFrame]]:
        rate = self._stream.average_rate
        end = Fraction(0)
        for frame in self._decoded():
            time_base = frame.time_base or Fraction(0)
            stamp = frame.pts if frame.pts is not None else frame.dts
            start = end if stamp is None else stamp * time_base
            ticks = frame.duration or (1 / rate // time_base if rate and time_base else 0)
            end = start + ticks * time_base
            yield Timed(start=start, end=end, item=frame)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Frames up to the first packet that fails; those that fail before any frame lack their key frame."""
        started = False
        failure = ""
        for packet in self._unread():
            if packet.is_corrupt and started:
                self.broken = "a packet is damaged or cut off"
                break
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except FFmpegError as error:
                failure = str(error)
                if not started:
                    continue
                self.broken = failure
                break
            started = started or bool(frames)
            yield from frames
        if self.broken or not started:
            self.broken = self.broken or failure
            self._allocate_a_frame()
            yield from self._held_back()

    def _allocate_a_frame(self) -> None:
        """Raises MemoryError if memory is why the decoder failed: H.264's reports that as invalid data."""
        bytearray(self._stream.width * self._stream.height * BYTES_PER_PIXEL)

    def _held_back(self) -> list[av.VideoFrame]:
        """What the decoder still holds from before the break."""
        try:
            return self._stream.decode(None)
        except MemoryError:
            raise
        except FFmpegError:
            return []
