"""Reads the subtitles inside one video: the child of `pipeline.inputs.embedded`, confined as the sampler's child is.

The request is one argument, JSON. The answer is one line of JSON; times are seconds from the start of the video stream:

    {"language": "en", "cues": [[0.5, 1.9, "A text,\\nas it is shown."], ...]}
    {"reason": "no_subtitles"}
"""

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from pipeline.decoding.confinement import confine
from pipeline.decoding.protocol import ChildRequest, VideoError
from pipeline.decoding.pyav_reader import open_container

PICTURES = ("dvb_subtitle", "dvd_subtitle", "hdmv_pgs_subtitle", "xsub")
"""Subtitles that are pictures of text."""
MOST_CHARACTERS = 10_000_000
"""Of all cues together; a film has a hundredth of it."""
OVERRIDE = re.compile(r"\{[^{}]*\}")
DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
"""An event of SSA that draws lines, in a language of its own (Aegisub's manual, ASS tags, drawing)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(ChildRequest):
    """What is asked for."""

    language: str
    """The subtitles in this language, by the code in the file; empty for those that a player shows unasked."""


def choose(streams: list[SubtitleStream], language: str) -> SubtitleStream | None:
    """The first stream of the best kind: marked as default rather than not, and whole rather than for signs alone."""
    found = [stream for stream in streams if not language or stream.language == language]
    ranks = [(bool(s.disposition & Disposition.forced), not s.disposition & Disposition.default) for s in found]
    return found[ranks.index(min(ranks))] if found else None


def start_of_video(container: InputContainer) -> Fraction:
    """When the first stream of moving pictures begins, in seconds of the container's clock."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.start_time is not None and stream.time_base:
            return stream.start_time * stream.time_base
    return Fraction(0)


def cues_of(container: InputContainer, stream: SubtitleStream) -> Iterator[tuple[Fraction, Fraction, str]]:
    """Start, end and text of each event; one without an end has its start for it. A break ends them."""
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    length = 0
    try:
        for packet in container.demux(stream):
            if packet.pts is None or not packet.size:
                continue
            text = text_of(stream, packet)
            length += len(text)
            if length > MOST_CHARACTERS:
                return
            start = packet.pts * packet.time_base
            yield start, start + (packet.duration or 0) * packet.time_base, text
    except MemoryError:
        raise
    except FFmpegError:
        return


def text_of(stream: SubtitleStream, packet: "Packet[Any]") -> str:
    """What an event says; nothing if it cannot be decoded."""
    try:
        shown = stream.decode(packet)
    except MemoryError:
        raise
    except FFmpegError:
        return ""
    return "\n".join(filter(None, (plain(event.ass) for event in shown if isinstance(event, AssSubtitle))))


def plain(event: bytes) -> str:
    """The text of an event as FFmpeg's decoders give them all: nine fields of SSA, the text last."""
    *fields, text = event.decode("utf-8", "replace").split(",", 8)
    if len(fields) != 8 or DRAWING.search(text):
        return ""
    text = OVERRIDE.sub("", text).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))


def ended(cues: Iterator[tuple[Fraction, Fraction, str]]) -> Iterator[tuple[Fraction, Fraction, str]]:
    """The same; one without an end is shown until the next begins."""
    before = None
    for cue in cues:
        if before:
            yield before if before[0] < before[1] else (before[0], cue[0], before[2])
        before = cue
    if before:
        yield before


def answer(container: InputContainer, language: str) -> dict[str, Any]:
    decodable = [stream for stream in container.streams.subtitles if stream.codec_context]
    texts = [stream for stream in decodable if stream.codec_context.name not in PICTURES]
    stream = choose(texts, language)
    if stream is None:
        return {"reason": "subtitles_are_pictures" if len(decodable) > len(texts) else "no_subtitles"}
    origin = start_of_video(container)
    shown = ended(cues_of(container, stream))  # the empty ones of MP4 fill the time between two texts
    cues = [[float(start - origin), float(end - origin), text] for start, end, text in shown if text]
    return {"language": stream.language or "", "cues": cues}


def main() -> None:
    request = Request.from_json(sys.argv[1])
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what native code prints is no part of the answer
    importlib.import_module("av.subtitles.codeccontext")  # PyAV would when it is first needed
    with open(request.path, "rb", buffering=0) as file, said:
        confine(request.memory_bytes, request.deadline_seconds)
        try:
            with open_container(file, request.container) as container:
                json.dump(answer(container, request.language), said)
        except VideoError as error:
            json.dump({"reason": error.reason}, said)


if __name__ == "__main__":
    main()
