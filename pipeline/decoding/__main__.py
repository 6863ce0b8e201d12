"""Samples one video: the child of `pipeline.frames`, in which native code may crash, hang or eat memory."""

import importlib
import itertools
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import IO, Any

import av
from av.container import InputContainer
from PIL import Image

from pipeline.decoding.picture import jpeg_bytes
from pipeline.decoding.protocol import Answer, Decoder, Picture, Request, VideoError, write_answer, write_refusal
from pipeline.decoding.pyav_reader import PyAVReader, open_container, video_stream
from pipeline.decoding.reader import Break, Reader
from pipeline.decoding.timeline import count_instants, shown_at

OpenReader = Callable[[IO[bytes], InputContainer, av.VideoStream, int], Reader[Any]]


def open_pyav(file: IO[bytes], container: InputContainer, stream: av.VideoStream, short_side: int) -> Reader[Any]:
    """`container` reads `file` itself."""
    return PyAVReader(container, stream, short_side)


def opener(decoder: Decoder) -> OpenReader:
    """decord is imported only if it is asked for."""
    if decoder == "pyav":
        return open_pyav
    from pipeline.decoding.decord_reader import open_decord

    return open_decord


def import_late_modules() -> None:
    """What the libraries import when it is first needed, by when no file can be opened any more."""
    Image.preinit()
    for module in ("codeccontext", "stream", "subtitle"):
        importlib.import_module(f"av.subtitles.{module}")


def confine(request: Request) -> None:
    """Bounds memory and time, and forbids to open files and sockets: what a container refers to stays closed.

    Called once the libraries are imported and the video is open. The alarm is for a child whose parent was killed.
    """
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bound = request.memory_bytes if most == resource.RLIM_INFINITY else min(request.memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (bound, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, request.deadline_seconds)


def encoded(image: Image.Image, instant: Fraction) -> Picture:
    return Picture(jpeg=jpeg_bytes(image), width=image.width, height=image.height, seconds=float(instant))


def sample(reader: Reader[Any], request: Request) -> Answer:
    """The pictures at the instants asked for; raises VideoError if there is none."""
    frames_per_second = Fraction(str(request.frames_per_second))  # 0.1 is meant as 1/10, not as its nearest double
    pictures: list[Picture] = []
    previous = None
    try:
        shown = shown_at(reader.timeline(), frames_per_second)
        for instant, item in itertools.islice(shown, request.max_frames):
            if pictures and item == previous:
                pictures.append(replace(pictures[-1], seconds=float(instant)))
            else:
                pictures.append(encoded(reader.picture(item), instant))
            previous = item
    except Break as error:
        reader.broken = str(error)
    if not pictures:
        raise VideoError("no_frames", f"no frame could be decoded: {reader.broken or 'there are none'}")
    duration = reader.duration()
    omitted = 0 if len(pictures) < request.max_frames else count_instants(duration, frames_per_second) - len(pictures)
    return Answer(pictures=tuple(pictures), duration=float(duration), omitted=omitted, broken=reader.broken)


def answer(request: Request, file: IO[bytes], open_reader: OpenReader) -> Answer:
    with open_container(file, request.container) as container:
        stream = video_stream(container)
        return sample(open_reader(file, container, stream, request.short_side), request)


def main() -> None:
    request = Request.from_json(sys.argv[1])
    said = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what native code prints is no part of the answer
    open_reader = opener(request.decoder)
    import_late_modules()
    with open(request.path, "rb", buffering=0) as file, said:
        confine(request)
        try:
            write_answer(said, answer(request, file, open_reader))
        except VideoError as error:
            write_refusal(said, error)
        except MemoryError:
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))  # room for the answer
            write_refusal(said, VideoError("too_much_memory", f"decoding needs over {request.memory_bytes:,} bytes"))


if __name__ == "__main__":
    main()
