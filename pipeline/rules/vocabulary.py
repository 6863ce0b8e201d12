"""OBELICS's measures of a text's words (Laurençon et al. 2023, arXiv 2306.16527, appendix A.2).

The formulas are those of `FilteringFunctions` in obelics/processors/web_document_filtering.py, and of
build_obelics/13_final_processing.py for spam. Its words are lower case, without the special characters at their ends
(`characters.is_special`), and only those of which something is left: a number is no word here.
"""

import string
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pipeline.rules.bounds import Measure
from pipeline.rules.characters import is_special
from pipeline.rules.quality import ratio
from pipeline.rules.word_lists import WordLists

REPEATED_LENGTH = 5
"""Words of a repeated sequence (OBELICS, `word_repetition_length`)."""
ASCII_SPECIAL = string.punctuation + string.digits

MEASURES: Mapping[str, Measure] = {
    "lexical_words": Measure(
        what="words of which something is left without the special characters at their ends: no numbers"
    ),
    "word_repetition_ratio": Measure(what="share of 5-grams of words that occur more than once", most=1),
    "stop_word_ratio": Measure(what="share of words that are stop words", most=1),
    "flagged_word_ratio": Measure(what="share of words that are flagged as explicit", most=1),
    "spam_word_ratio": Measure(what="share of words of a page's furniture", most=1),
    "common_word_ratio": Measure(what="share of words that are common; measured where a list of them is given", most=1),
}


def measure_vocabulary(text: str, lists: WordLists) -> dict[str, float]:
    """The measures of a document's or a paragraph's `text`; `common_word_ratio` if `lists` has common words."""
    words = lexical_words(text)
    measures = {
        "lexical_words": float(len(words)),
        "word_repetition_ratio": _word_repetition(words),
        "stop_word_ratio": _share(words, lists.stop_words),
        "flagged_word_ratio": _share(words, lists.flagged_words),
        "spam_word_ratio": _share(words, lists.spam_words),
    }
    if lists.common_words is not None:
        measures["common_word_ratio"] = _share(words, lists.common_words)
    return measures


def lexical_words(text: str) -> list[str]:
    """The words of `text` in lower case, without special characters at their ends."""
    tokens = text.lower().split()
    return [word for token in tokens if (word := token if token.isalpha() else _strip(token))]


def _strip(token: str) -> str:
    word = token.strip(ASCII_SPECIAL)
    start, end = 0, len(word)
    while start < end and is_special(word[start]):
        start += 1
    while start < end and is_special(word[end - 1]):
        end -= 1
    return word[start:end]


def _word_repetition(words: Sequence[str]) -> float:
    counts = Counter(zip(*(words[start:] for start in range(REPEATED_LENGTH)), strict=False))
    return ratio(sum(count for count in counts.values() if count > 1), counts.total())


def _share(words: Sequence[str], listed: Collection[str]) -> float:
    return ratio(sum(map(listed.__contains__, words)), len(words))
