"""The measures of a text: of a document's as a whole, and of each paragraph."""

from collections.abc import Mapping

from pipeline.rules import characters, quality, repetition, vocabulary
from pipeline.rules.bounds import Measure
from pipeline.rules.word_lists import WordLists, english_words

TEXT_MEASURES: Mapping[str, Measure] = {
    **quality.MEASURES,
    **repetition.MEASURES,
    **characters.MEASURES,
    **vocabulary.MEASURES,
}
PARAGRAPH_MEASURES: Mapping[str, Measure] = {
    "words": quality.MEASURES["words"],
    **characters.MEASURES,
    **vocabulary.MEASURES,
}


def measure_document(text: str, lists: WordLists | None = None) -> dict[str, float]:
    """`TEXT_MEASURES` of a document's `text`, by `lists` or the English ones of the package."""
    return {
        **quality.measure_quality(text),
        **repetition.measure_repetition(text),
        **characters.measure_characters(text),
        **vocabulary.measure_vocabulary(text, lists or english_words()),
    }


def measure_paragraph(text: str, lists: WordLists | None = None) -> dict[str, float]:
    """`PARAGRAPH_MEASURES` of a paragraph's `text`."""
    return {
        "words": float(word_count(text)),
        **characters.measure_characters(text, fewest_tokens=characters.FEWEST_TOKENS),
        **vocabulary.measure_vocabulary(text, lists or english_words()),
    }


def word_count(text: str) -> int:
    """Words: what white space separates and has a letter or a digit."""
    return sum(map(quality.is_word, text.split()))
