"""Samples one video: the child of `pipeline.frames`, in which native code may crash, hang or eat memory."""

import itertools
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import IO, Any

from PIL import Image

from pipeline.decoding.confinement import confine
from pipeline.decoding.picture import jpeg_bytes
from pipeline.decoding.protocol import Answer, Decoder, Picture, Request, VideoError, write_answer, write_refusal
from pipeline.decoding.pyav_reader import PyAVReader, open_container, video_stream
from pipeline.decoding.reader import Break, Reader
from pipeline.decoding.skipping_reader import SkippingReader, Unplanned
from pipeline.decoding.timeline import count_instants, shown_at

Image.preinit()  # or Pillow would when it is first needed, by when no file can be opened any more


def rate_of(request: Request) -> Fraction:
    """0.1 is meant as 1/10, not as its nearest double."""
    return Fraction(str(request.frames_per_second))


def encoded(image: Image.Image, instant: Fraction) -> Picture:
    return Picture(jpeg=jpeg_bytes(image), width=image.width, height=image.height, seconds=float(instant))


def sample(reader: Reader[Any], request: Request) -> Answer:
    """The pictures at the instants asked for; raises VideoError if there is none."""
    pictures: list[Picture] = []
    previous = None
    try:
        shown = shown_at(reader.timeline(), rate_of(request))
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
    omitted = 0 if len(pictures) < request.max_frames else count_instants(duration, rate_of(request)) - len(pictures)
    return Answer(pictures=tuple(pictures), duration=float(duration), omitted=omitted, broken=reader.broken)


def sample_needed(file: IO[bytes], request: Request) -> Answer:
    """Decodes what the instants need. Raises Unplanned where only decoding everything says what is shown when."""
    with open_container(file, request.container) as container:
        stream = video_stream(container)
        reader = SkippingReader(container, stream, request.short_side, rate_of(request), request.max_frames)
        return sample(reader, request)


def sample_everything(file: IO[bytes], request: Request) -> Answer:
    """Decodes every frame in order."""
    with open_container(file, request.container) as container:
        return sample(PyAVReader(container, video_stream(container), request.short_side), request)


def sample_by_pyav(file: IO[bytes], request: Request) -> Answer:
    try:
        return sample_needed(file, request)
    except Unplanned:
        file.seek(0)
        return sample_everything(file, request)


def sampler_of(decoder: Decoder) -> Callable[[IO[bytes], Request], Answer]:
    """decord is imported only if it is asked for, and before the child is confined."""
    if decoder == "pyav":
        return sample_by_pyav
    from pipeline.decoding.decord_reader import open_decord

    def sample_by_decord(file: IO[bytes], request: Request) -> Answer:
        with open_container(file, request.container) as container:
            return sample(open_decord(file, container, video_stream(container), request.short_side), request)

    return sample_by_decord


def main() -> None:
    request = Request.from_json(sys.argv[1])
    said = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what native code prints is no part of the answer
    sampler = sampler_of(request.decoder)
    with open(request.path, "rb", buffering=0) as file, said:
        confine(request.memory_bytes, request.deadline_seconds)
        try:
            write_answer(said, sampler(file, request))
        except VideoError as error:
            write_refusal(said, error)
        except MemoryError:
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))  # room for the answer
            write_refusal(said, VideoError("too_much_memory", f"decoding needs over {request.memory_bytes:,} bytes"))


if __name__ == "__main__":
    main()
