"""Near-copies whose similarity is known: real texts, edited until they are as far from themselves as was asked for."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from pipeline.curation.exact import words_of

Words = list[str]
LEAST, MOST = 0.5, 1.0
"""Between these the similarities of copies are spread."""
TRUTH = Path("pages", "wcxb", "ground-truth.json")
"""Texts of 420 real pages, in the material."""


def real_words(material: Path) -> list[Words]:
    """The words of each real text, in order."""
    truth = json.loads((material / TRUTH).read_text(encoding="utf-8"))
    return [words_of(page["articleBody"]) for page in truth.values()]


def passages(texts: Sequence[Words], length: int) -> list[Words]:
    """All texts cut into runs of `length` words; what is left at their ends is left out."""
    return [text[start : start + length] for text in texts for start in range(0, len(text) - length + 1, length)]


def with_copies(originals: Sequence[Words], seed: int) -> Iterator[Words]:
    """Each of `originals`, and after it an edited copy; the copies' similarities are spread evenly."""
    source = random.Random(seed)
    for place, words in enumerate(originals):
        yield words
        target = LEAST + (MOST - LEAST) * (place + 0.5) / len(originals)
        yield edited(words, target, source.choice(originals), source)


def edited(words: Words, similarity: float, foreign: Words, source: random.Random) -> Words:
    """`words` with one edit after the other, as long as its similarity to itself stays `similarity` or more.

    An edit replaces, takes out or puts in a run of one to four words; new ones come from `foreign`. At last single
    words are taken from the end, which change one shingle each.
    """
    whole, copy = shingles(words), words
    while jaccard(whole, shingles(after := _edit_once(copy, foreign, source))) >= similarity:
        copy = after
    while len(copy) > 5 and jaccard(whole, shingles(copy[:-1])) >= similarity:
        copy = copy[:-1]
    return copy


def _edit_once(words: Words, foreign: Words, source: random.Random) -> Words:
    start, length, piece = source.randrange(len(words)), source.randint(1, 4), source.randrange(len(foreign))
    taken = source.choice((0, length))
    put = foreign[piece : piece + length] if not taken or source.random() < 0.5 else []
    return words[:start] + put + words[start + taken :]


def shingles(words: Sequence[str]) -> set[tuple[str, ...]]:
    """The runs of five words, as words: what the pipeline's hashes stand for."""
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


def jaccard(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def all_pairs(documents: Sequence[Words], least: float) -> dict[tuple[int, int], float]:
    """Every pair of `documents` with a similarity of at least `least`, by brute force over all that share a shingle."""
    sets = [shingles(words) for words in documents]
    holders = defaultdict[tuple[str, ...], list[int]](list)
    for number, runs in enumerate(sets):
        for run in runs:
            holders[run].append(number)
    shared = Counter(pair for numbers in holders.values() for pair in combinations(numbers, 2))
    similar = {(i, j): count / (len(sets[i]) + len(sets[j]) - count) for (i, j), count in shared.items()}
    return {pair: similarity for pair, similarity in similar.items() if similarity >= least}
