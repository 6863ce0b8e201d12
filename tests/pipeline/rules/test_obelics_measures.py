"""OBELICS's measures against its own code, run with the project's lists of words and of special characters."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.characters import FEWEST_TOKENS, is_special, measure_characters
from pipeline.rules.vocabulary import lexical_words, measure_vocabulary
from pipeline.rules.word_lists import WordLists, english_words

PEER = json.loads((Path(__file__).parent / "obelics_values.json").read_text())
RECIPES = Path(__file__).parents[3] / "recipes" / "curate"
LISTS = WordLists(
    stop_words=frozenset({"the", "of"}),
    flagged_words=frozenset({"rude"}),
    spam_words=frozenset({"share"}),
    common_words=frozenset({"the", "cat"}),
)


def measured(text: str, fewest_tokens: int = 0) -> dict[str, float]:
    return measure_characters(text, fewest_tokens=fewest_tokens) | measure_vocabulary(text, english_words())


@pytest.mark.parametrize("name", PEER["texts"])
def test_values_of_documents_are_obelics(name):
    assert measured(PEER["texts"][name]) == pytest.approx(PEER["documents"][name], rel=1e-6)


@pytest.mark.parametrize("name", PEER["texts"])
def test_values_of_paragraphs_are_obelics(name):
    for text, peer in zip(PEER["texts"][name].split("\n\n"), PEER["paragraphs"][name], strict=False):
        assert measured(text, FEWEST_TOKENS) == pytest.approx(peer, rel=1e-6)


def test_values_on_real_pages_are_obelics(material):
    pages = json.loads((material / "pages" / "wcxb" / "ground-truth.json").read_text())
    for page, peer in PEER["wcxb"].items():
        assert measured(pages[page]["articleBody"]) == pytest.approx(peer, rel=1e-6)


def test_words_by_hand():
    text = "The CAT's (rude) 12 share-button, of 3 \u201ccats\u201d! share"
    assert lexical_words(text) == ["the", "cat's", "rude", "share-button", "of", "cats", "share"]
    assert measure_vocabulary(text, LISTS) == pytest.approx(
        {
            "lexical_words": 7,
            "word_repetition_ratio": 0,
            "stop_word_ratio": 2 / 7,
            "flagged_word_ratio": 1 / 7,
            "spam_word_ratio": 1 / 7,
            "common_word_ratio": 1 / 7,
        }
    )


def test_repeated_sequences_of_words_are_a_share_of_all():
    assert measure_vocabulary("a b c d e A b. c d e", LISTS)["word_repetition_ratio"] == pytest.approx(2 / 6)


def test_repeated_strings_of_characters_by_hand():
    """`abcdefghij` stands twice among 11 strings of 10 kinds; the root of 10 is 3, and one of them is repeated."""
    assert measure_characters("abcdefghijabcdefghij")["character_repetition_ratio"] == pytest.approx(2 / 11)
    assert measure_characters("abcdefghi")["character_repetition_ratio"] == 0


def test_a_short_paragraph_needs_no_punctuation():
    words = "one two three four five six seven eight nine ten eleven"
    assert measure_characters(words, fewest_tokens=FEWEST_TOKENS)["punctuation_ratio"] == 1
    assert measure_characters(f"{words} twelve", fewest_tokens=FEWEST_TOKENS)["punctuation_ratio"] == 0
    assert measure_characters(f"{words}.", fewest_tokens=FEWEST_TOKENS)["punctuation_ratio"] == pytest.approx(1 / 12)


@pytest.mark.parametrize("letter", "a\u00e9\u03a9\u0416\u5b57\u0939\u093f\u0301")
def test_letters_and_their_marks_are_not_special(letter):
    assert not is_special(letter)


@pytest.mark.parametrize("sign", "1 \n.\u20ac\u2014\u00b2\u00bd_\U0001f642\u00a0\u200b")
def test_all_else_is_special(sign):
    assert is_special(sign)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_nothing_has_no_words(text):
    assert set(measure_vocabulary(text, LISTS).values()) == {0.0}


@given(st.text(max_size=200))
def test_shares_are_shares(text):
    measures = measured(text)
    words = measures.pop("lexical_words")
    assert words == int(words)
    assert all(0 <= value <= 1 for value in measures.values())


def test_the_recipe_of_obelics_has_the_published_thresholds():
    """Written out from config_filter_web_documents.yaml, and for spam from 13_final_processing.py."""
    recipe = yaml.safe_load((RECIPES / "obelics.yaml").read_text())
    assert recipe["paragraph"] == {
        "lexical_words": {"least": 4, "most": 1000},
        "character_repetition_ratio": {"most": 0.1},
        "word_repetition_ratio": {"most": 0.1},
        "special_character_ratio": {"most": 0.3},
        "stop_word_ratio": {"least": 0.3},
        "flagged_word_ratio": {"most": 0.01},
        "punctuation_ratio": {"least": 0.001},
        "spam_word_ratio": {"most": 0.12},
    }
    assert recipe["document"] == {
        "media": {"least": 1, "most": 30},
        "lexical_words": {"least": 10, "most": 2000},
        "character_repetition_ratio": {"most": 0.1},
        "word_repetition_ratio": {"most": 0.2},
        "special_character_ratio": {"most": 0.275},
        "stop_word_ratio": {"least": 0.35},
        "flagged_word_ratio": {"most": 0.01},
        "punctuation_ratio": {"least": 0.03},
        "wanted_language": {"least": 0.8},
    }
