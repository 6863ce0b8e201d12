"""A document held against the rules: its paragraphs, its images, then the document that is left of them.

Every measure is recorded, also of what is kept, so that a ledger can say what another threshold would keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.curation.verdicts import MEDIA, Verdict, apply_verdicts
from pipeline.ledger import Entry, Record
from pipeline.rules.bounds import Bounds, Measure, check_rules
from pipeline.rules.image import IMAGE_MEASURES, measure_image
from pipeline.rules.text import TEXT_MEASURES, TextResources, measure_document
from pipeline.scoring.config import ScoringConfig, measures_of
from pipeline.scoring.placement import assign
from pipeline.scoring.scores import DocumentScores
from pipeline.text_rules import TextRules, held, judge_paragraphs
from shards.document import Document, Media

LINES = "lines"
"""The pass over the lines of each domain, whose verdicts come before all rules."""
ASSIGNED = "assigned_paragraph"
"""The measure of an image that says before which paragraph it stands by MMC4's assignment."""
NO_SCORES = DocumentScores()


@dataclass(frozen=True, kw_only=True)
class Rules(TextRules):
    """Bounds on measures of text and of images."""

    document: dict[str, Bounds] = field(default_factory=lambda: {"media": Bounds(least=1), "words": Bounds(least=1)})
    """Bounds on measures of the document that is left of its paragraphs and media, by measure, in order."""
    image: dict[str, Bounds] = field(default_factory=dict[str, Bounds])
    """Bounds on measures of each image, by measure, in order."""
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """Models that take further measures of images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rules("image", self.image, {**IMAGE_MEASURES, **measures_of(self.scoring)})

    @property
    def document_measures(self) -> Mapping[str, Measure]:
        return {**TEXT_MEASURES, "media": Measure(what="images and videos that are left")}


def judge(
    document: Document,
    rules: Rules,
    resources: TextResources | None = None,
    *,
    lines: Sequence[Verdict] = (),
    scores: DocumentScores = NO_SCORES,
) -> Record:
    """What becomes of `document` and of each of its paragraphs and media, in order; its own entry is the last.

    `lines` are verdicts on paragraphs that its domain repeats, `scores` what models say of its images. A picture that
    cannot be decoded is dropped as `broken`.
    """
    record = Record(document.source, document.key, list(_entries(document)))
    apply_verdicts(record, {LINES: lines})
    left = _judge_paragraphs(document, record, rules, resources)
    _judge_media(document, record, rules, scores, left)
    text = "\n\n".join(left.values())
    measures = measure_document(text, document.source, resources) | {"media": _media_left(record)}
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


def _judge_paragraphs(
    document: Document, record: Record, rules: TextRules, resources: TextResources | None
) -> dict[int, str]:
    """Judges the paragraphs that `record` holds; returns those that are left, by their places in the document."""
    places = [place for place, entry in enumerate(record.entries) if entry.kind == "paragraph"]
    texts = paragraphs_of(document)
    judged = judge_paragraphs([record.entries[place] for place in places], texts, rules, resources)
    for place, entry in zip(places, judged, strict=True):
        record.entries[place] = entry
    return {number: text for number, (text, entry) in enumerate(zip(texts, judged, strict=True)) if not entry.reason}


def _judge_media(
    document: Document, record: Record, rules: Rules, scores: DocumentScores, paragraphs: Mapping[int, str]
) -> None:
    """Judges the images that `record` holds, and says before which of `paragraphs` those that are left may stand."""
    media = iter(document.media)
    for place, entry in enumerate(record.entries):
        if entry.kind in MEDIA:
            record.entries[place] = _judge_medium(entry, next(media), rules, scores.of_image(entry.number, paragraphs))
    images = [entry.number for entry in record.entries if entry.kind == "image" and not entry.reason]
    assigned = assign(scores.similarity, images, paragraphs)
    for place, entry in enumerate(record.entries):
        if entry.kind == "image" and entry.number in assigned:
            measures = {**entry.measures, ASSIGNED: float(assigned[entry.number])}
            record.entries[place] = replace(entry, measures=measures)


def _judge_medium(entry: Entry, medium: Media, rules: Rules, scores: Mapping[str, float]) -> Entry:
    if medium.kind == "video":
        return entry
    try:
        return held(entry, {**measure_image(medium), **scores}, rules.image)
    except ValueError:
        return replace(entry, measures=scores, reason="broken")


def _media_left(record: Record) -> float:
    return float(sum(record.kept(kind) for kind in MEDIA))


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
