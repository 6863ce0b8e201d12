"""A sampled video and what is said of it into documents: one of clips and texts, or one for each clip, or for each cue.

per video   [clip, text, clip, text, ...]   [video, text] if the text has no times
per clip    [clip, text]  [clip, text]      each clip with the whole text if it has none
per cue     [clip, text]  [clip, text]      one document, from the beginning, if it has none
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.clips import Clip, clip_of_cue, clips_of_cues, clips_of_text, frames_of
from pipeline.frames import SampledVideo
from pipeline.inputs.captions import Cue, Dropped, usable
from pipeline.ledger import Entry, Record
from shards.document import Block, Document, Media, Text, document_key

Per = Literal["cue", "clip", "video"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """How videos are cut."""

    per: Per
    clip_seconds: float
    """Longest clip, but for a whole video with its caption."""
    frames_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What is said of a video: cues, and a caption if none of them can be used."""

    source: str
    """Where the video came from."""
    cues: tuple[Cue, ...] = ()
    caption: str = ""
    facts: Mapping[str, str]


def make_documents(video: SampledVideo, spoken: Spoken, cutting: Cutting, record: Record) -> list[Document]:
    """The documents of a video, of which `record` gets an entry for each clip, each document and each cue dropped.

    Cues are dropped as `bad_times`, `no_text`, `too_long`, `repeated` and `after_end`, clips as `no_text`. The measures
    of a document are `seconds`, which it shows, and `truncated`, 1 if the file broke before its end. The source of one
    that is a stretch of a video names that stretch.
    """
    shown = min(video.duration, len(video.frames) / cutting.frames_per_second) or 1 / cutting.frames_per_second
    cues = _usable(spoken, shown, record)
    clips = _clips(cues, spoken.caption, shown, cutting)
    whole = cutting.per == "video" and not cues
    parts = [(clip, _media(clip, video, spoken.source + ("" if whole else clip.fragment))) for clip in clips]
    said = [(clip, media) for clip, media in parts if clip.text]
    record.entries += [_entry(clip, media, -1, "no_text") for clip, media in parts if not clip.text]
    groups = [(spoken.source, said)] if cutting.per == "video" else [(part[1].url, [part]) for part in said]
    truncated = float(video.truncated)
    documents = [_document(source, parts, spoken.facts, truncated, record) for source, parts in groups if parts]
    record.key = documents[0].key if documents else ""
    return documents


def _usable(spoken: Spoken, shown: float, record: Record) -> list[Cue]:
    cues, dropped = usable(spoken.cues)
    late = [Dropped(cue=cue, reason="after_end") for cue in cues if cue.start >= shown]
    for gone in (*dropped, *late):
        stretch = Clip(start=gone.cue.start, end=gone.cue.end, text="")
        record.drop("cue", gone.reason, spoken.source + stretch.fragment)
    return [cue for cue in cues if cue.start < shown]


def _clips(cues: Sequence[Cue], caption: str, shown: float, cutting: Cutting) -> list[Clip]:
    whole = Cue(start=0.0, end=shown, text=caption)
    if cutting.per == "cue":
        return [clip_of_cue(cue, shown, cutting.clip_seconds) for cue in cues or [whole]]
    if cues:
        return clips_of_cues(cues, shown, cutting.clip_seconds)
    if cutting.per == "clip":
        return clips_of_text(caption, shown, cutting.clip_seconds)
    return [Clip(start=0.0, end=shown, text=caption)]


def _media(clip: Clip, video: SampledVideo, address: str) -> Media:
    return Media(kind="video", frames=frames_of(clip, video.frames), url=address)


def _entry(clip: Clip, media: Media, number: int, reason: str = "") -> Entry:
    measures = {"seconds": clip.end - clip.start, "frames": float(len(media.frames))}
    return Entry(kind="video", address=media.url, number=number, reason=reason, measures=measures)


def _document(
    source: str, parts: Sequence[tuple[Clip, Media]], facts: Mapping[str, str], truncated: float, record: Record
) -> Document:
    """A document of clips, each before its text, and its entries in `record`."""
    blocks = list[Block]()
    for clip, media in parts:
        blocks += [media, Text(text=clip.text, caption=True)]
    named = [name for clip, media in parts for name in (media.url, clip.text)]
    measures = {"seconds": sum(clip.end - clip.start for clip, _ in parts), "truncated": truncated}
    record.entries += [_entry(clip, media, number) for number, (clip, media) in enumerate(parts)]
    record.entries.append(Entry(kind="document", address=source, measures=measures))
    return Document(
        key=document_key("video", *named),
        source=source,
        blocks=tuple(blocks),
        facts=facts,
        measures=measures,
    )
