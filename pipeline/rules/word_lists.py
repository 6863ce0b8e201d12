"""Lists of words that measures count: English ones that come with the package, or a person's own files.

The lists are the project's own (OBELICS publishes some of its lists; none is copied). Stop words are the words that
hold sentences together, flagged words those of pornography that mean little else, spam words those of a page's
furniture. A list of common words is too large to come along: whoever wants that measure brings one.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from shards.errors import DatasetError
from shards.location import locate


@dataclass(frozen=True, kw_only=True)
class WordListFiles:
    """Files of words, one a line, in lower case; a list that is not given is the English one of the package."""

    stop_words: str | None = None
    """For `stop_word_ratio`: words that hold sentences together."""
    flagged_words: str | None = None
    """For `flagged_word_ratio`: words of explicit content."""
    spam_words: str | None = None
    """For `spam_word_ratio`: words of a page's furniture, such as share, subscribe, cookies."""
    common_words: str | None = None
    """For `common_word_ratio`, which is not measured without it: the words that a language is mostly made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLists:
    """Words in lower case."""

    stop_words: frozenset[str]
    flagged_words: frozenset[str]
    spam_words: frozenset[str]
    common_words: frozenset[str] | None = None


def read_word_lists(paths: WordListFiles) -> WordLists:
    """The lists that `paths` names, and the package's for the others. Raises DatasetError for one without a word."""
    english = english_words()
    return WordLists(
        stop_words=read_words(paths.stop_words) if paths.stop_words else english.stop_words,
        flagged_words=read_words(paths.flagged_words) if paths.flagged_words else english.flagged_words,
        spam_words=read_words(paths.spam_words) if paths.spam_words else english.spam_words,
        common_words=read_words(paths.common_words) if paths.common_words else None,
    )


def read_words(path: str) -> frozenset[str]:
    """The words in a text file, a line each, in lower case. Raises DatasetError if it cannot be read or has none."""
    location = locate(path)
    try:
        words = _words(location.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no list of words: byte {error.start} is not UTF-8") from error
    if not words:
        raise DatasetError(f"{path} is a list of words without a word; name another file or leave it out")
    return words


@cache
def english_words() -> WordLists:
    """The lists that come with the package."""
    return WordLists(
        stop_words=shipped_words("stop_words"),
        flagged_words=shipped_words("flagged_words"),
        spam_words=shipped_words("spam_words"),
    )


def shipped_words(name: str) -> frozenset[str]:
    """The package's list `name`."""
    return _words((files("pipeline.rules") / "english" / f"{name}.txt").read_text(encoding="utf-8"))


def _words(text: str) -> frozenset[str]:
    return frozenset(line.strip().lower() for line in text.splitlines()) - {""}
