"""What files beside a video say of it: a caption (.txt, .json), or subtitles (.vtt, .srt, .json).

The JSON is that of video2dataset (github.com/iejMac/video2dataset, README and clipping_subsampler.py): `caption` and
`url`, `yt_meta_dict` with title, licence and subtitles by language, and of a clip `clips`, its stretch of the whole
video, and `clip_subtitles`, by the time of the whole. A list of objects with start, end and text under `subtitles` is
read too.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.extraction import encodings
from pipeline.inputs.captions import MOST_BYTES, MOST_CUES, Cue, read_captions
from shards.foreign.records import BadRecord, parsed

SUFFIX = re.compile(r"txt|json|(?:[a-z]{2,3}(?:-[a-z0-9]{2,8})*\.)?(?:vtt|srt)")
"""What stands behind a video's name in the names of such files, in lower case; subtitles may tell their language."""
FORMATS = ("vtt", "srt")
"""Of subtitles in both formats the first are read."""
TIME = re.compile(r"(?:(\d{1,9}):)?(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What files beside a video say of it."""

    caption: str = ""
    cues: tuple[Cue, ...] = ()
    url: str = ""
    """Where the video came from."""
    failed: bool = False
    """Whether the program that made the set could not get the video."""
    facts: dict[str, str] = field(default_factory=dict[str, str])


def read_texts(texts: Mapping[str, bytes], caption_key: str, language: str) -> Said:
    """What `texts` say, files by suffix, in which a language may stand first: `en.vtt`.

    The caption is that of the .txt, or the value of `caption_key` in the .json. Subtitles are those in `language`, or
    those that name none; without a language the first by name will do.
    """
    record = _record(texts.get("json", b""))
    metadata = _mapping(record.get("yt_meta_dict"))
    info = _mapping(metadata.get("info"))
    said = {"title": info.get("title"), "licence": info.get("license")}
    return Said(
        caption=_folded(_text(texts.get("txt", b""))) or _folded(record.get(caption_key)),
        cues=_cues(texts, language) or tuple(_cues_of_record(record, metadata, language)),
        url=_folded(record.get("url")),
        failed=str(record.get("status", "")).startswith("failed"),
        facts={name: _folded(value) for name, value in said.items() if _folded(value)},
    )


def _cues(texts: Mapping[str, bytes], language: str) -> tuple[Cue, ...]:
    """Those of the best file of subtitles that has any."""
    files = [name for name in texts if name.rpartition(".")[2] in FORMATS]
    spoken = [name for name in files if not language or name.rpartition(".")[0] in ("", language)]
    found = (read_captions(texts[name]) for name in sorted(spoken, key=lambda name: _rank(name, language)))
    return tuple(next(filter(None, found), ()))


def _rank(name: str, language: str) -> tuple[bool, bool, str, int]:
    spoken, _, suffix = name.rpartition(".")
    return spoken != language, spoken != "", spoken, FORMATS.index(suffix)


def _record(data: bytes) -> dict[str, Any]:
    """The object that a JSON file holds; an empty one if it holds none."""
    try:
        return parsed(data[:MOST_BYTES], dict)
    except BadRecord:
        return {}


def _cues_of_record(record: Mapping[str, Any], metadata: Mapping[str, Any], language: str) -> Iterator[Cue]:
    clips = record.get("clips")
    if isinstance(clips, list):
        span = clips[0] if clips and isinstance(clips[0], list) else clips
        origin = _seconds(span[0]) if span else None
        yield from _listed(record.get("clip_subtitles"), language, origin)
        return
    spoken = _mapping(metadata.get("subtitles"))
    yield from _listed(record.get("subtitles") or _in_language(spoken, language), language, 0.0)


def _listed(entries: object, language: str, origin: float | None) -> Iterator[Cue]:
    """The cues of a list of objects with start and end, from which `origin` is taken; others are passed over."""
    if not isinstance(entries, list) or origin is None:
        return
    for entry in entries[:MOST_CUES]:
        said = _mapping(entry)
        start, end = _seconds(said.get("start")), _seconds(said.get("end"))
        if start is None or end is None:
            continue
        lines = said.get("lines", said.get("text", ""))
        lines = _in_language(lines, language) if isinstance(lines, dict) else lines
        texts = lines if isinstance(lines, list) else str(lines or "").split("\n")
        # A line that was shown before the clip began is shown from its start.
        begin = max(0.0, start - origin)
        yield Cue(start=begin, end=end - origin, text="\n".join(filter(None, map(_folded, texts))))


def _in_language(spoken: Mapping[str, Any], language: str) -> Any:
    return spoken.get(language) if language else next(iter(spoken.values()), None)


def _seconds(value: object) -> float | None:
    """A number of seconds, also as 00:01:02.500; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e9 else None
    match = TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(data: bytes) -> str:
    return encodings.decode(data[:MOST_BYTES], None).text.removeprefix("\ufeff") if data else ""


def _folded(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
