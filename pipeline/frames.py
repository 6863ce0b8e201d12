"""A video file becomes the frames that are shown at 0, 1, 2, ... seconds, decoded where it can harm nothing.

Every file is decoded by a child process of its own, `pipeline.decoding.sampling`, with a deadline and a memory
bound, and only if its first bytes are those of a container in `CONTAINERS`: playlists and scripts, which make a
decoder open other files, never reach one.
"""

import importlib.util
from dataclasses import dataclass
from typing import get_args

from pipeline.decoding.confinement import run_child
from pipeline.decoding.protocol import REASONS, Answer, Decoder, Reason, Request, VideoError, read_answer
from shards.document import Frame

__all__ = ["REASONS", "Decoder", "Reason", "SampledVideo", "VideoError", "available_decoders", "sample_video"]

HEAD_BYTES = 600  # three packets of a transport stream
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledVideo:
    """What `sample_video` saw of a file."""

    frames: tuple[Frame, ...]
    """JPEG; `seconds` is the sampling instant, counted from the first displayed frame."""
    duration: float
    """Seconds from the first displayed frame to the end of the last, measured, not declared; to the break, if any."""
    truncated: bool
    """The file broke before its end."""
    omitted: int
    """Instants of the file after the first `max_frames`, which were not decoded."""


def container_of(head: bytes) -> str | None:
    """FFmpeg's demuxer for a file that starts with `head`; None if it is of no container in the allow-list."""
    if head[4:8] in MP4_BOXES:
        return "mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"\x00\x00\x01\xba"):
        return "mpeg"
    if head.startswith(b"FLV\x01"):
        return "flv"
    if head.startswith(b"OggS"):
        return "ogg"
    if any(head[first : first + 2 * size + 1 : size] == b"GGG" for first, size in ((0, 188), (4, 192))):
        return "mpegts"
    return None


def available_decoders() -> tuple[Decoder, ...]:
    """The decoders installed here; PyAV always is, decord has no wheels for Arm."""
    modules: dict[Decoder, str] = {"pyav": "av", "decord": "decord"}
    return tuple(name for name in get_args(Decoder) if importlib.util.find_spec(modules[name]))


def sample_video(
    data_path: str,
    *,
    frames_per_second: float = 1.0,
    short_side: int = 320,
    decoder: Decoder = "pyav",
    max_frames: int,
    deadline_seconds: float,
    memory_bytes: int,
) -> SampledVideo:
    """Frames of the file at `data_path` at the instants k / `frames_per_second` s, k < `max_frames`.

    The frame at t is the last whose presentation time, counted from the first displayed frame, is <= t. It is
    upright, in square pixels, its shorter side at most `short_side` pixels. The child is killed after
    `deadline_seconds` and may map `memory_bytes`; 4K H.264 took 0.4 GiB with PyAV and 0.8 GiB with decord. A file
    that ends in a damaged part keeps the frames before it; one whose decoder is killed keeps none, since how far
    a killed decoder came is chance. Raises VideoError for a file that gives no frames, OSError if it cannot be
    read, and ValueError if `decoder` is not installed.
    """
    if decoder not in available_decoders():
        raise ValueError(f"decoder is {decoder!r}; installed here: {', '.join(available_decoders())}")
    with open(data_path, "rb") as file:
        container = container_of(file.read(HEAD_BYTES))
    if container is None:
        raise VideoError("not_a_video", f"{data_path} does not start as a video container does")
    request = Request(
        path=data_path,
        container=container,
        decoder=decoder,
        frames_per_second=frames_per_second,
        short_side=short_side,
        max_frames=max_frames,
        deadline_seconds=deadline_seconds,
        memory_bytes=memory_bytes,
    )
    return _sampled(_ask_child(request))


def _ask_child(request: Request) -> Answer:
    child = run_child("pipeline.decoding.sampling", request.to_json(), request.deadline_seconds)
    if child is None:
        sentence = f"{request.path} was not decoded within {request.deadline_seconds} s"
        raise VideoError("deadline", sentence)
    try:
        if child.returncode != 0:
            raise ValueError(f"the child ended with status {child.returncode}")
        return read_answer(child.stdout)
    except VideoError as error:
        raise VideoError(error.reason, f"{request.path}: {error.sentence}") from None
    except (ValueError, KeyError, TypeError) as error:
        last_words = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise VideoError("decoder_crashed", f"{request.path}: {error}; it said {last_words!r}") from error


def _sampled(answer: Answer) -> SampledVideo:
    frames = tuple(
        Frame(data=p.jpeg, format="jpg", width=p.width, height=p.height, seconds=p.seconds) for p in answer.pictures
    )
    return SampledVideo(frames=frames, duration=answer.duration, truncated=bool(answer.broken), omitted=answer.omitted)
