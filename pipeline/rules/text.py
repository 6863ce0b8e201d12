"""Measures of text, composed of families, each a file of its own: of a document's whole text, and of a paragraph."""

from collections.abc import Mapping

from pipeline.rules.bounds import Measure

TEXT_MEASURES: Mapping[str, Measure] = {"words": Measure(what="words, separated by white space")}
PARAGRAPH_MEASURES: Mapping[str, Measure] = {"words": Measure(what="words, separated by white space")}


def measure_document(text: str) -> dict[str, float]:
    """The measures of `TEXT_MEASURES` of a document's text; paragraphs are parted by empty lines."""
    return {"words": float(word_count(text))}


def measure_paragraph(text: str) -> dict[str, float]:
    """The measures of `PARAGRAPH_MEASURES` of one paragraph."""
    return {"words": float(word_count(text))}


def word_count(text: str) -> int:
    """Words, separated by white space."""
    return len(text.split())
