"""A document held against the rules: its paragraphs, its images, then the document that is left of them.

Every measure is recorded, also of what is kept, so that a ledger can say what another threshold would keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.curation.verdicts import MEDIA, Verdict, apply_verdicts
from pipeline.ledger import Entry, Record
from pipeline.rules.bounds import Bounds, Measure, check_rules, refusal
from pipeline.rules.image import IMAGE_MEASURES, measure_image
from pipeline.rules.text import PARAGRAPH_MEASURES, TEXT_MEASURES, measure_document, measure_paragraph
from shards.document import Document, Media

LINES = "lines"
"""The pass over the lines of each domain, whose verdicts come before all rules."""
DOCUMENT_MEASURES: Mapping[str, Measure] = {
    **TEXT_MEASURES,
    "media": Measure(what="images and videos that are left"),
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Bounds on measures; the first that is broken is the reason."""

    document: dict[str, Bounds] = field(default_factory=lambda: {"media": Bounds(least=1)})
    """Bounds on measures of the document that is left of its paragraphs and media, by measure, in order."""
    paragraph: dict[str, Bounds] = field(default_factory=dict[str, Bounds])
    """Bounds on measures of each paragraph, by measure, in order."""
    image: dict[str, Bounds] = field(default_factory=dict[str, Bounds])
    """Bounds on measures of each image, by measure, in order."""

    def __post_init__(self) -> None:
        check_rules("document", self.document, DOCUMENT_MEASURES)
        check_rules("paragraph", self.paragraph, PARAGRAPH_MEASURES)
        check_rules("image", self.image, IMAGE_MEASURES)


def judge(document: Document, rules: Rules, lines: Sequence[Verdict] = ()) -> Record:
    """What becomes of `document` and of each of its paragraphs and media, in order; its own entry is the last.

    `lines` are verdicts on paragraphs that its domain repeats. A picture that cannot be decoded is dropped as `broken`.
    """
    record = Record(document.source, document.key, list(_entries(document)))
    apply_verdicts(record, {LINES: lines})
    texts, media = iter(paragraphs_of(document)), iter(document.media)
    left = list[str]()
    for place, entry in enumerate(record.entries):
        if entry.kind != "paragraph":
            record.entries[place] = _judge_medium(entry, next(media), rules)
            continue
        text = next(texts)
        record.entries[place] = held(entry, measure_paragraph(text), rules.paragraph)
        left += [] if record.entries[place].reason else [text]
    measures = measure_document("\n\n".join(left)) | {"media": _media_left(record)}
    record.entries.append(held(Entry(kind="document", address=document.source), measures, rules.document))
    return record


def settle(record: Record, verdicts: Mapping[str, Sequence[Verdict]], rules: Rules) -> None:
    """Drops from `record` what the passes say, by their names, and the document if too few media are left of it.

    Places in `verdicts` are those in what the rules left.
    """
    apply_verdicts(record, verdicts)
    own = record.entries[-1]
    if (left := _media_left(record)) != own.measures["media"]:
        record.entries[-1] = held(own, {**own.measures, "media": left}, rules.document)


def _judge_medium(entry: Entry, medium: Media, rules: Rules) -> Entry:
    if medium.kind == "video":
        return entry
    try:
        return held(entry, measure_image(medium), rules.image)
    except ValueError:
        return replace(entry, reason="broken")


def _media_left(record: Record) -> float:
    return float(sum(record.kept(kind) for kind in MEDIA))


def held(entry: Entry, measures: Mapping[str, float], rules: Mapping[str, Bounds]) -> Entry:
    """`entry` with its `measures`, dropped if they break `rules`, unless it was dropped already."""
    entry = replace(entry, measures=measures)
    refused = None if entry.reason else refusal(measures, rules)
    if refused is None:
        return entry
    return replace(entry, reason=refused.reason, measure=refused.measure, threshold=refused.threshold)


def paragraphs_of(document: Document) -> list[str]:
    """The paragraphs of all texts of `document`, in order; empty lines part them."""
    return [paragraph for text in document.texts for paragraph in text.text.split("\n\n")]


def _entries(document: Document) -> list[Entry]:
    """An entry for each paragraph and medium of `document`, in its order, all kept."""
    entries, paragraphs, media = list[Entry](), 0, 0
    for block in document.blocks:
        if isinstance(block, Media):
            entries.append(Entry(kind=block.kind, address=block.url, number=media))
            media += 1
            continue
        for _ in block.text.split("\n\n"):
            entries.append(Entry(kind="paragraph", address=document.source, number=paragraphs))
            paragraphs += 1
    return entries
