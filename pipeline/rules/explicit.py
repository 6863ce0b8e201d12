"""Whether an address says that its page is explicit: words in it, and lists of sites that others keep.

Words within text are `flagged_word_ratio` of `vocabulary.py`. The list of words that comes along is short and means
little else (datatrove's URLFilter parts such words from those of which it takes two); lists of sites, such as the
blacklists of the Université Toulouse Capitole, have millions of entries and are a person's own file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.fetching.opt_out import NOBODY, OptOut, read_opt_out
from pipeline.rules.bounds import Measure
from pipeline.rules.word_lists import read_words, shipped_words
from shards.location import locate

WORD = re.compile(r"\*?[^\W_]+\*?")

MEASURES: Mapping[str, Measure] = {
    "explicit_address_words": Measure(what="explicit words in the page's address"),
    "listed_address": Measure(what="1 if the address or its site is on the list of explicit ones, else 0", most=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressLists:
    """What makes an address explicit."""

    words: re.Pattern[str]
    sites: OptOut
    """Sites, with all below them, and single addresses."""


def read_address_lists(words: str | None = None, sites: str | None = None) -> AddressLists:
    """The lists in two files; without the first the package's words, without the second no sites.

    A line of `words` is a word of letters and digits, which has to stand alone, or on the side of a * may go on:
    `porn*` is in `pornsite`, `*porn` in `bestporn`. A line of `sites` is a domain or an http(s) address.
    Raises DatasetError if a file cannot be read and ValueError, with the line, for one that is neither.
    """
    listed = sorted(read_words(words) if words else shipped_words("address_words"))
    for word in listed:
        if not WORD.fullmatch(word):
            raise ValueError(
                f"{words} has the word {word!r}; it must be of letters and digits, with or without * around"
            )
    return AddressLists(words=_any_of(listed), sites=read_opt_out(locate(sites)) if sites else NOBODY)


def measure_address(address: str, lists: AddressLists) -> dict[str, float]:
    """`MEASURES` of a page's canonical `address`."""
    return {
        "explicit_address_words": float(len(lists.words.findall(address.lower()))),
        "listed_address": float(lists.sites.refuses(address)),
    }


def _any_of(words: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_pattern, words)))


def _pattern(word: str) -> str:
    start = "" if word.startswith("*") else r"(?<![^\W_])"
    end = "" if word.endswith("*") else r"(?![^\W_])"
    return f"{start}{word.strip('*')}{end}"
