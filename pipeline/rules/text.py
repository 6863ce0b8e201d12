"""The measures of a text: of a document's as a whole, and of each paragraph.

TextConfig ─► read_resources (the driver: lists out of files) ─► measure_document, measure_paragraph (the tasks)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache

from pipeline.rules import characters, explicit, language, quality, repetition, vocabulary
from pipeline.rules.bounds import Measure
from pipeline.rules.word_lists import WordListFiles, WordLists, read_word_lists

TEXT_MEASURES: Mapping[str, Measure] = {
    **language.MEASURES,
    **explicit.MEASURES,
    **quality.MEASURES,
    **repetition.MEASURES,
    **characters.MEASURES,
    **vocabulary.MEASURES,
}
PARAGRAPH_MEASURES: Mapping[str, Measure] = {
    **language.MEASURES,
    "words": quality.MEASURES["words"],
    **characters.MEASURES,
    **vocabulary.MEASURES,
}


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """What measures of text are taken with. Files of lists are read on the driver; a model lies on every node."""

    languages: tuple[str, ...] = ("en",)
    """The wanted languages, codes of ISO 639: what `wanted_language` is the probability of."""
    language_model: str | None = None
    """A fastText model such as lid.176.bin (needs the extra `fasttext`); without it py3langid's."""
    words: WordListFiles = field(default_factory=WordListFiles)
    """Files of words to count."""
    explicit_words: str | None = None
    """A file of words that make an address explicit, one a line, `porn*` for those that it starts."""
    explicit_sites: str | None = None
    """A file of explicit sites, a domain or an http(s) address a line."""

    def __post_init__(self) -> None:
        language.check_languages("text.languages", self.languages)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResources:
    """What a `TextConfig` names, read."""

    languages: tuple[str, ...]
    language_model: str | None
    words: WordLists
    addresses: explicit.AddressLists


def read_resources(config: TextConfig) -> TextResources:
    """What `config` names; the language model is opened too, so that a bad one is found at once.

    Raises DatasetError for a list that cannot be read, ValueError for a bad line of one and for a bad model.
    """
    language.open_language(config.language_model)
    return TextResources(
        languages=config.languages,
        language_model=config.language_model,
        words=read_word_lists(config.words),
        addresses=explicit.read_address_lists(config.explicit_words, config.explicit_sites),
    )


@cache
def default_resources() -> TextResources:
    """English, and the lists that come with the package."""
    return read_resources(TextConfig())


def check_lists(field: str, rules: Collection[str], config: TextConfig) -> None:
    """Raises ValueError if `rules`, the config's `field`, are about common words and `config` has no list of them."""
    if "common_word_ratio" in rules and config.words.common_words is None:
        raise ValueError(
            f"{field}.common_word_ratio needs a list of common words; name its file in text.words.common_words"
        )


def document_language(text: str, resources: TextResources | None = None) -> language.Language:
    """The language of a document's `text`, which its short paragraphs inherit."""
    return language.open_language((resources or default_resources()).language_model)(text)


def measure_document(text: str, address: str = "", resources: TextResources | None = None) -> dict[str, float]:
    """`TEXT_MEASURES` of the document at `address`; its `text` has lines, and blank lines between paragraphs."""
    resources = resources or default_resources()
    return {
        **language.measure_language(document_language(text, resources), resources.languages),
        **explicit.measure_address(address, resources.addresses),
        **quality.measure_quality(text),
        **repetition.measure_repetition(text),
        **characters.measure_characters(text),
        **vocabulary.measure_vocabulary(text, resources.words),
    }


def measure_paragraph(
    text: str, document: language.Language | None = None, resources: TextResources | None = None
) -> dict[str, float]:
    """`PARAGRAPH_MEASURES` of a paragraph; under 20 words its language is the `document`'s, where that is given."""
    resources = resources or default_resources()
    identify = language.open_language(resources.language_model)
    found = language.paragraph_language(text, document, identify) if document else identify(text)
    return {
        **language.measure_language(found, resources.languages),
        "words": float(word_count(text)),
        **characters.measure_characters(text, fewest_tokens=characters.FEWEST_TOKENS),
        **vocabulary.measure_vocabulary(text, resources.words),
    }


def word_count(text: str) -> int:
    """Words: what white space separates and has a letter or a digit."""
    return sum(map(quality.is_word, text.split()))
