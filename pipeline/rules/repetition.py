"""Gopher's measures of a document's repetition (Rae et al. 2021, arXiv 2112.11446, appendix A1.1, table A1).

Each is a share: of lines, of paragraphs, or of the text's characters. The values are those of datatrove's
GopherRepetitionFilter (0.9.0) for the same tokens; ours are what white space separates, its own are spaCy's.

An n-gram that occurs once starts no longer one that occurs twice. So n-grams are followed from words on, and only
where both of their halves, the (n-1)-grams at a place and behind it, are found again: in most texts few are left after
pairs, where counting every n-gram of nine lengths would take ten times as long.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import accumulate

from pipeline.rules.bounds import Measure
from pipeline.rules.quality import ratio

LINE_ENDS = re.compile(r"\n+")
PARAGRAPH_ENDS = re.compile(r"\n{2,}")
TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)

MEASURES: Mapping[str, Measure] = {
    "duplicate_line_ratio": Measure(what="share of lines that stood before", most=1),
    "duplicate_line_character_ratio": Measure(what="share of the characters in lines that stood before", most=1),
    "duplicate_paragraph_ratio": Measure(what="share of paragraphs that stood before", most=1),
    "duplicate_paragraph_character_ratio": Measure(
        what="share of the characters in paragraphs that stood before", most=1
    ),
    **{f"top_{n}_gram_ratio": Measure(what=f"share of the characters in the most frequent {n}-gram") for n in TOP},
    **{
        f"duplicate_{n}_gram_ratio": Measure(what=f"share of the characters in {n}-grams that stood before", most=1)
        for n in DUPLICATE
    },
}

Grams = Mapping[int, int]
"""Where an n-gram that occurs more than once starts, in order: the place where the same one starts first."""


def measure_repetition(text: str) -> dict[str, float]:
    """The measures of a document's `text`; of an empty one all are 0."""
    tokens = text.split()
    offsets = [0, *accumulate(map(len, tokens))]
    measures = _duplicates("line", LINE_ENDS.split(text.strip()), len(text))
    measures |= _duplicates("paragraph", PARAGRAPH_ENDS.split(text.strip()), len(text))
    for n, grams in _repeated_grams(tokens, max(DUPLICATE)):
        if n in TOP:
            measures[f"top_{n}_gram_ratio"] = ratio(_top_characters(grams, offsets, n), len(text))
        elif n in DUPLICATE:
            measures[f"duplicate_{n}_gram_ratio"] = ratio(_duplicate_characters(grams, offsets, n), len(text))
    return measures


def _duplicates(kind: str, parts: Sequence[str], length: int) -> dict[str, float]:
    counts = Counter(parts)
    characters = sum(len(part) * (count - 1) for part, count in counts.items() if count > 1)
    return {
        f"duplicate_{kind}_ratio": ratio(len(parts) - len(counts), len(parts)),
        f"duplicate_{kind}_character_ratio": ratio(characters, length),
    }


def _repeated_grams(tokens: Sequence[str], longest: int) -> Iterator[tuple[int, Grams]]:
    """For n from 1 to `longest`, n and the n-grams that occur more than once."""
    grams = _repeated(dict(enumerate(tokens)))
    yield 1, grams
    for n in range(2, longest + 1):
        grams = _repeated({start: (gram, grams[start + 1]) for start, gram in grams.items() if start + 1 in grams})
        yield n, grams


def _repeated(grams: Mapping[int, Hashable]) -> Grams:
    firsts = dict[Hashable, int]()
    same = {start: firsts.setdefault(gram, start) for start, gram in grams.items()}
    counts = Counter(same.values())
    return {start: first for start, first in same.items() if counts[first] > 1}


def _top_characters(grams: Grams, offsets: Sequence[int], n: int) -> int:
    """Characters, with single spaces, of the most frequent n-gram wherever it occurs; of equals, the first."""
    if len(offsets) <= n:
        return 0
    first, count = max(Counter(grams.values()).items(), key=lambda item: item[1], default=(0, 1))
    return (offsets[first + n] - offsets[first] + n - 1) * count


def _duplicate_characters(grams: Grams, offsets: Sequence[int], n: int) -> int:
    """Characters, without spaces, of n-grams that stood before; none is counted twice, as reading goes on behind it."""
    seen, characters, free = set[int](), 0, 0
    for start, first in grams.items():
        if start < free:
            continue
        if first in seen:
            characters += offsets[start + n] - offsets[start]
            free = start + n
        seen.add(first)
    return characters
