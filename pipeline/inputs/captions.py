"""Subtitles into cues: WebVTT and SubRip, as files have them, into texts that each belong to a stretch of time.

    bytes ─► lines ─► a cue for each line of timings, with the lines below it ─► its text without markup

Pure and bounded: a pass over the bytes, whatever they are. What is no cue is passed over, as players do.
"""

import html
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.extraction import encodings

MOST_BYTES = 10_000_000
"""Of a longer file the beginning is read; the subtitles of a film take 100 kB."""
MOST_CUES = 50_000
"""Of a file so many are read."""
MOST_CHARACTERS = 2_000
"""A cue with a longer text is no subtitle, but data for a script (WebVTT's metadata)."""
ROLLING_SECONDS = 0.1
"""A cue that follows on another within this time may show its lines again, which then roll up (YouTube's do)."""

VTT_TIME = r"(?:(\d{1,9}):)?([0-5]\d):([0-5]\d)\.(\d{3})(?!\d)"
SRT_TIME = r"(?:(\d{1,9}):)?(\d{1,2}):(\d{1,2})(?:[,.:](\d{1,3})(?!\d))?"
"""Programs that write SubRip agree on less than its readers take: a point for the comma, no milliseconds, one digit."""
VTT_TIMINGS, SRT_TIMINGS = (
    re.compile(rf"[ \t\f]*{time}[ \t\f]*-->[ \t\f]*{time}", re.ASCII) for time in (VTT_TIME, SRT_TIME)
)
VTT_TOKEN = re.compile(r"<(/?[a-z0-9:.]*)[^>]*>?|[^<]+")
"""A tag, which an open one is to the end (WebVTT, section 6.4), or text."""
SRT_TAG = re.compile(r"</?(?:b|i|u|s|font|c|v)\b[^<>]*>|\{\\[^{}]*\}", re.IGNORECASE)
"""Tags that players know, and overrides of the SSA format; any other angle bracket is text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A text and the time for which it is shown, in seconds."""

    start: float
    end: float
    text: str
    """Its lines, parted by a line feed, without markup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A cue that is not used, and a word for why."""

    cue: Cue
    reason: str


def read_captions(data: bytes) -> list[Cue]:
    """The cues of a WebVTT or SubRip file, told apart by WebVTT's signature, in the order of the file.

    Follows WebVTT (w3.org/TR/webvtt1, sections 6.1, 6.3 and 6.4); of SubRip, which nobody specified, it takes what
    FFmpeg's reader takes. Empty if there are none.
    """
    data = data[:MOST_BYTES]
    if re.match(rb"(?:\xef\xbb\xbf)?WEBVTT(?:[ \t\r\n]|\Z)", data):
        lines = _lines(data.decode("utf-8-sig", "replace"))[1:]
        cues = _cues(lines, VTT_TIMINGS, _vtt_payload, _vtt_text)
    else:
        lines = _lines(encodings.decode(data, None).text.removeprefix("\ufeff"))
        cues = _cues(lines, SRT_TIMINGS, _srt_payload, _srt_text)
    return list(itertools.islice(cues, MOST_CUES))


def usable(cues: Iterable[Cue]) -> tuple[list[Cue], list[Dropped]]:
    """The cues that can be used, in order of time, and the others.

    Reasons: `bad_times` (not shown for any time), `no_text`, `too_long`, `repeated` (all its lines stand already in
    the cue that it follows on; of some of them the others are kept).
    """
    kept, dropped = list[Cue](), list[Dropped]()
    shown, until = list[str](), 0.0
    for cue in sorted(cues, key=lambda cue: (cue.start, cue.end)):
        rolls = cue.start <= until + ROLLING_SECONDS
        lines = cue.text.split("\n")
        fresh = [line for line in lines if not rolls or line not in shown]
        if reason := _refusal(cue, fresh):
            dropped.append(Dropped(cue=cue, reason=reason))
        else:
            kept.append(replace(cue, text="\n".join(fresh)))
        if 0 <= cue.start < cue.end and cue.text:
            shown, until = lines, cue.end
    return kept, dropped


def _refusal(cue: Cue, fresh: Sequence[str]) -> str:
    if not 0 <= cue.start < cue.end:
        return "bad_times"
    if not cue.text:
        return "no_text"
    if len(cue.text) > MOST_CHARACTERS:
        return "too_long"
    return "" if fresh else "repeated"


def _lines(text: str) -> list[str]:
    return text.replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _cues(
    lines: Sequence[str],
    timings: re.Pattern[str],
    payload: Callable[[Sequence[str], int], Iterable[str]],
    plain: Callable[[str], str],
) -> Iterator[Cue]:
    """A cue for each line with an arrow whose timings can be read; `payload` gives the lines of its text."""
    for number, line in enumerate(lines):
        if "-->" in line and (match := timings.match(line)):
            times = match.groups()
            text = plain("\n".join(payload(lines, number + 1)))
            yield Cue(start=_seconds(times[:4]), end=_seconds(times[4:]), text=text)


def _seconds(parts: Sequence[str | None]) -> float:
    """Of hours, minutes, seconds and decimals, of which the first and the last may be None."""
    hours, minutes, seconds, decimals = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return (whole * 1000 + int((decimals or "").ljust(3, "0"))) / 1000


def _vtt_payload(lines: Sequence[str], start: int) -> Iterator[str]:
    """Up to an empty line, or to the next line with an arrow."""
    for number in range(start, len(lines)):
        if not lines[number] or "-->" in lines[number]:
            return
        yield lines[number]


def _srt_payload(lines: Sequence[str], start: int) -> list[str]:
    """Up to the next line of timings, but for the number above it; a text may hold empty lines."""
    stop = start
    while stop < len(lines) and not ("-->" in lines[stop] and SRT_TIMINGS.match(lines[stop])):
        stop += 1
    if start < stop < len(lines) and lines[stop - 1].strip().isdecimal():
        stop -= 1
    return list(lines[start:stop])


def _vtt_text(marked: str) -> str:
    """The text of a cue without its tags; of ruby, which is said twice, the base alone."""
    pieces, ruby = list[str](), False
    for token in VTT_TOKEN.finditer(marked):
        name = token.group(1)
        if name is None:
            pieces.append("" if ruby else html.unescape(token.group()))
        elif name.partition(".")[0] in ("rt", "/rt", "/ruby"):
            ruby = name.partition(".")[0] == "rt"
    return _tidy("".join(pieces))


def _srt_text(marked: str) -> str:
    return _tidy(SRT_TAG.sub("", marked.replace(r"\N", "\n").replace(r"\h", " ")))


def _tidy(text: str) -> str:
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))
