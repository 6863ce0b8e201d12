"""Gopher's measures of a document's quality (Rae et al. 2021, arXiv 2112.11446, appendix A1.1).

A word is what white space separates and has a letter or a digit. The values are those of datatrove's
GopherQualityFilter (0.9.0), but for two things. Its tokens come from spaCy, which parts punctuation from words, and its
shares are of all tokens: every comma counts as a word without a letter, and the rule that 80 % have one drops a quarter
of WCXB's texts. Here the dashes that extraction puts before a list's items, which cost good recipes, do not count
either. And blank lines are no lines: those between paragraphs would halve the shares of lines.
"""

from collections.abc import Mapping

from pipeline.rules.bounds import Measure

STOP_WORDS = frozenset("the be to of and that have with".split())
BULLETS = ("•", "-")
ELLIPSES = ("...", "…")

MEASURES: Mapping[str, Measure] = {
    "words": Measure(what="words: what white space separates and has a letter or a digit"),
    "mean_word_length": Measure(what="characters of a word, on average"),
    "hash_ratio": Measure(what="hash signs per word"),
    "ellipsis_ratio": Measure(what="ellipses (... or …) per word"),
    "bullet_line_ratio": Measure(what="share of lines that start with a bullet (• or -)", most=1),
    "ellipsis_line_ratio": Measure(what="share of lines that end with an ellipsis", most=1),
    "alphabetic_word_ratio": Measure(what="share of words that have a letter", most=1),
    "stop_words": Measure(what="how many of `the be to of and that have with` occur, in lower case", most=8),
}


def measure_quality(text: str) -> dict[str, float]:
    """The measures of a document's `text`; of an empty one all are 0."""
    tokens = text.split()
    words = [token for token in tokens if is_word(token)]
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    ellipses = sum(map(text.count, ELLIPSES))
    return {
        "words": float(len(words)),
        "mean_word_length": ratio(sum(map(len, words)), len(words)),
        "hash_ratio": ratio(text.count("#"), len(words)),
        "ellipsis_ratio": ratio(ellipses, len(words)),
        "bullet_line_ratio": ratio(sum(line.startswith(BULLETS) for line in lines), len(lines)),
        "ellipsis_line_ratio": ratio(sum(line.endswith(ELLIPSES) for line in lines), len(lines)) if ellipses else 0.0,
        "alphabetic_word_ratio": ratio(sum(map(_has_letter, words)), len(words)),
        "stop_words": float(len(STOP_WORDS.intersection(tokens))),
    }


def is_word(token: str) -> bool:
    """Whether `token` has a letter or a digit of any script."""
    return token.isalnum() or any(map(str.isalnum, token))


def ratio(part: float, whole: float) -> float:
    """`part / whole`, and 0 where there is no whole."""
    return part / whole if whole else 0.0


def _has_letter(token: str) -> bool:
    return token.isalpha() or any(map(str.isalpha, token))
