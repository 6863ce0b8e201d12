"""Subtitles inside a video into cues, read where that can harm nothing: by `python -m pipeline.decoding.subtitles`."""

import itertools
import json
from dataclasses import dataclass
from typing import Any

from pipeline.decoding.confinement import run_child
from pipeline.decoding.subtitles import Request
from pipeline.frames import HEAD_BYTES, container_of
from pipeline.inputs.captions import MOST_CUES, Cue


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The subtitles inside a file."""

    cues: tuple[Cue, ...] = ()
    """By the time of the video stream, whose first frame is shown at 0."""
    language: str = ""
    """As the file has it, such as `eng`; empty if it does not say."""
    reason: str = ""
    """Why there are none: `no_subtitles`, `subtitles_are_pictures`, `subtitles_deadline`, `subtitles_crashed`,
    `not_a_video`, `damaged_container`."""


def read_embedded(data_path: str, *, language: str, deadline_seconds: float, memory_bytes: int) -> Embedded:
    """The subtitles of the file at `data_path`, those in `language`, or if it is empty those shown unasked.

    The child is killed after `deadline_seconds` and may map `memory_bytes`. Raises OSError if the file cannot be read.
    """
    with open(data_path, "rb") as file:
        container = container_of(file.read(HEAD_BYTES))
    if container is None:
        return Embedded(reason="not_a_video")
    request = Request(
        path=data_path,
        container=container,
        language=language,
        deadline_seconds=deadline_seconds,
        memory_bytes=memory_bytes,
    )
    child = run_child("pipeline.decoding.subtitles", request.to_json(), deadline_seconds)
    if child is None:
        return Embedded(reason="subtitles_deadline")
    try:
        if child.returncode != 0:
            raise ValueError(f"the child ended with status {child.returncode}")
        return _embedded(json.loads(child.stdout))
    except (ValueError, KeyError, TypeError):
        return Embedded(reason="subtitles_crashed")


def _embedded(answer: dict[str, Any]) -> Embedded:
    if "reason" in answer:
        return Embedded(reason=str(answer["reason"]))
    cues = itertools.islice(answer["cues"], MOST_CUES)
    return Embedded(
        cues=tuple(Cue(start=float(start), end=float(end), text=str(text)) for start, end, text in cues),
        language=str(answer["language"]),
    )
