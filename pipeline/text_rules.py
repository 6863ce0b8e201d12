"""Rules on text: what gathering applies before it asks for a page's pictures, and curation again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jobs.command import InputError
from pipeline.ledger import Entry
from pipeline.rules.bounds import Bounds, Measure, check_rules, refusal
from pipeline.rules.text import (
    PARAGRAPH_MEASURES,
    TEXT_MEASURES,
    TextConfig,
    TextResources,
    check_lists,
    document_language,
    measure_paragraph,
    read_resources,
)


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """Bounds on measures of text; the first that is broken is the reason."""

    text: TextConfig = field(default_factory=TextConfig)
    """What measures of text are taken with."""
    document: dict[str, Bounds] = field(default_factory=dict[str, Bounds])
    """Bounds on measures of the text that is left of its paragraphs, by measure, in order."""
    paragraph: dict[str, Bounds] = field(default_factory=dict[str, Bounds])
    """Bounds on measures of each paragraph, by measure, in order."""

    def __post_init__(self) -> None:
        check_rules("document", self.document, self.document_measures)
        check_rules("paragraph", self.paragraph, PARAGRAPH_MEASURES)
        check_lists("document", self.document, self.text)
        check_lists("paragraph", self.paragraph, self.text)

    @property
    def document_measures(self) -> Mapping[str, Measure]:
        """What rules on documents may be about."""
        return TEXT_MEASURES


def open_resources(config: TextConfig) -> TextResources:
    """What `config` names, read. Raises InputError if a list or a language model cannot be."""
    try:
        return read_resources(config)
    except ValueError as error:
        raise InputError(str(error)) from None


def judge_paragraphs(
    entries: Sequence[Entry], texts: Sequence[str], rules: TextRules, resources: TextResources | None
) -> list[Entry]:
    """`entries`, one for each paragraph in `texts`, with measures and verdicts.

    Short paragraphs inherit the language of all of them.
    """
    language = document_language("\n\n".join(texts), resources)
    return [
        held(entry, measure_paragraph(text, language, resources), rules.paragraph)
        for entry, text in zip(entries, texts, strict=True)
    ]


def held(entry: Entry, measures: Mapping[str, float], rules: Mapping[str, Bounds]) -> Entry:
    """`entry` with its `measures`, dropped if they break `rules`, unless it was dropped already."""
    entry = replace(entry, measures=measures)
    refused = None if entry.reason else refusal(measures, rules)
    if refused is None:
        return entry
    return replace(entry, reason=refused.reason, measure=refused.measure, threshold=refused.threshold)
