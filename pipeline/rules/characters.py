"""OBELICS's measures of a text's characters (Laurençon et al. 2023, arXiv 2306.16527, appendix A.2).

The formulas are those of `FilteringFunctions` in obelics/processors/web_document_filtering.py. A special character is
here by definition what is neither a letter nor a combining mark, where OBELICS has a list, of punctuation, digits,
white space, emoji and some 300 signs found on pages.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from math import isqrt

import numpy as np

from pipeline.rules.bounds import Measure
from pipeline.rules.quality import ratio

REPEATED_LENGTH = 10
"""Characters of a repeated string (OBELICS, `character_repetition_length`)."""
HASH_FACTORS = np.array([pow(0x9E3779B97F4A7C15, place + 1, 2**64) for place in range(REPEATED_LENGTH)], np.uint64)
"""Powers of an odd number (2**64 over the golden ratio): a string's hash is the sum of its characters by these. Two of
a text's thousands of strings have one hash by chance once in 10**11 texts; counting strings takes six times as long.
"""
PUNCTUATION = ",;:?!."
WORD = re.compile(r"[\w']+")
FEWEST_TOKENS = 12
"""A paragraph with fewer words and marks need not have a mark (`min_number_words_to_check_punctuation_ratio`)."""

MEASURES: Mapping[str, Measure] = {
    "character_repetition_ratio": Measure(
        what="share of 10-character strings that are among the most frequent ones: as many as the root of their kinds",
        most=1,
    ),
    "special_character_ratio": Measure(what="share of characters that are neither letters nor marks on them", most=1),
    "punctuation_ratio": Measure(
        what="share of `,;:?!.` among words and marks; 1 for a paragraph of fewer than 12 of them", most=1
    ),
}


def measure_characters(text: str, *, fewest_tokens: int = 0) -> dict[str, float]:
    """The measures of a document's `text`, or of a paragraph's with `fewest_tokens=FEWEST_TOKENS`."""
    special = sum(text.count(character) for character in set(text) if is_special(character))
    return {
        "character_repetition_ratio": _character_repetition(text),
        "special_character_ratio": ratio(special, len(text)),
        "punctuation_ratio": _punctuation(text, fewest_tokens),
    }


@lru_cache(maxsize=4096)
def is_special(character: str) -> bool:
    """Whether `character` is neither a letter nor a combining mark (Unicode's categories L and M)."""
    return not character.isalpha() and not unicodedata.category(character).startswith("M")


def _character_repetition(text: str) -> float:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    strings = max(0, len(codes) - REPEATED_LENGTH + 1)
    hashes = np.zeros(strings, np.uint64)
    for place, factor in enumerate(HASH_FACTORS):
        hashes += codes[place : place + strings] * factor
    counts = np.unique_counts(hashes).counts
    repeated = np.sort(counts[counts > 1])[::-1]
    return ratio(float(repeated[: isqrt(len(counts))].sum()), strings)


def _punctuation(text: str, fewest_tokens: int) -> float:
    marks = sum(map(text.count, PUNCTUATION))
    tokens = marks + len(WORD.findall(text))
    return 1.0 if 0 < tokens < fewest_tokens else ratio(marks, tokens)
