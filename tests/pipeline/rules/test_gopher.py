"""Gopher's measures against datatrove's for the same tokens, and against words counted by hand."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.quality import MEASURES as QUALITY
from pipeline.rules.quality import measure_quality
from pipeline.rules.repetition import MEASURES as REPETITION
from pipeline.rules.repetition import measure_repetition

PEER = json.loads((Path(__file__).parent / "gopher_values.json").read_text())
"""Values of datatrove 0.9.0, whose tokens were made those of str.split: of texts here, and of 40 pages of WCXB."""
RECIPES = Path(__file__).parents[3] / "recipes" / "curate"


def measured(text: str) -> dict[str, float]:
    return measure_quality(text) | measure_repetition(text)


PER_WORD = ("hash_ratio", "ellipsis_ratio", "alphabetic_word_ratio")


def assert_as_peer(text: str, peer: dict[str, float]) -> None:
    """Equal, but for signs that stand alone.

    datatrove takes those for words that its list of punctuation lacks, and counts all of them in shares of words.
    """
    ours, tokens = measured(text), text.split()
    signs = sum(not any(map(str.isalnum, token)) for token in tokens)
    assert ours["words"] == len(tokens) - signs
    assert ours["words"] <= peer["words"] <= len(tokens)
    exact = peer.keys() - ({"words", "mean_word_length"} if ours["words"] < peer["words"] else set())
    ours |= {name: ours[name] * ours["words"] / len(tokens) for name in PER_WORD}
    assert {name: ours[name] for name in exact} == pytest.approx({name: peer[name] for name in exact}, rel=1e-6)


@pytest.mark.parametrize("name", PEER["texts"])
def test_values_are_datatroves(name):
    assert_as_peer(PEER["texts"][name], PEER["values"][name])


def test_values_on_real_pages_are_datatroves(material):
    pages = json.loads((material / "pages" / "wcxb" / "ground-truth.json").read_text())
    for page, peer in PEER["wcxb"].items():
        assert_as_peer(pages[page]["articleBody"], peer)


def test_peer_and_measures_have_the_same_names():
    assert all(values.keys() == QUALITY.keys() | REPETITION.keys() for values in PEER["values"].values())


def test_quality_by_hand():
    text = "- The cat # sat...\n\n\u2022 and 7 dogs, with \u20ac\nran\u2026"
    assert measure_quality(text) == pytest.approx(
        {
            "words": 8,  # The cat sat... and 7 dogs, with ran…
            "mean_word_length": (3 + 3 + 6 + 3 + 1 + 5 + 4 + 4) / 8,
            "hash_ratio": 1 / 8,
            "ellipsis_ratio": 2 / 8,
            "bullet_line_ratio": 2 / 3,
            "ellipsis_line_ratio": 2 / 3,
            "alphabetic_word_ratio": 7 / 8,
            "stop_words": 2,  # and, with; The has a capital
        }
    )


def test_repetition_by_hand():
    measures = measure_repetition("a b c d e\na b c d e\n\nf")
    assert measures["duplicate_line_ratio"] == pytest.approx(1 / 3)
    assert measures["duplicate_line_character_ratio"] == pytest.approx(9 / 22)
    assert measures["duplicate_paragraph_ratio"] == 0
    assert measures["top_2_gram_ratio"] == pytest.approx(6 / 22)
    assert measures["duplicate_5_gram_ratio"] == pytest.approx(5 / 22)
    assert measures["duplicate_6_gram_ratio"] == 0


@pytest.mark.parametrize("text", ["", " \n\n "])
def test_nothing_measures_nothing(text):
    assert set(measured(text).values()) == {0.0}


@given(st.lists(st.sampled_from("ab"), max_size=40).map(" ".join))
def test_n_grams_are_those_of_a_plain_count(text):
    """Two letters: almost everything is repeated, and n-grams overlap themselves."""
    tokens, measures = text.split(), measure_repetition(text)
    for n in (2, 3, 4):
        counts = Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))
        most = max(counts.values(), default=0)
        assert measures[f"top_{n}_gram_ratio"] * len(text) == pytest.approx(most * (2 * n - 1))
    for n in (5, 6, 7, 8, 9, 10):
        assert measures[f"duplicate_{n}_gram_ratio"] * len(text) == pytest.approx(duplicate_characters(tokens, n))


def duplicate_characters(tokens: list[str], n: int) -> int:
    """As datatrove's `find_all_duplicate`, for tokens of one letter."""
    seen, characters, place = set[tuple[str, ...]](), 0, 0
    while place <= len(tokens) - n:
        gram = tuple(tokens[place : place + n])
        repeated = gram in seen
        seen.add(gram)
        characters += n if repeated else 0
        place += n if repeated else 1
    return characters


def test_the_recipe_of_m3w_has_the_published_thresholds():
    """Gopher, table A1 and appendix A1.1, written out from the paper."""
    rules = yaml.safe_load((RECIPES / "m3w.yaml").read_text())["document"]
    assert {name: rules[name] for name in [*QUALITY, *REPETITION]} == {
        "words": {"least": 50, "most": 100_000},
        "mean_word_length": {"least": 3, "most": 10},
        "hash_ratio": {"most": 0.1},
        "ellipsis_ratio": {"most": 0.1},
        "bullet_line_ratio": {"most": 0.9},
        "ellipsis_line_ratio": {"most": 0.3},
        "alphabetic_word_ratio": {"least": 0.8},
        "stop_words": {"least": 2},
        "duplicate_line_ratio": {"most": 0.3},
        "duplicate_line_character_ratio": {"most": 0.2},
        "duplicate_paragraph_ratio": {"most": 0.3},
        "duplicate_paragraph_character_ratio": {"most": 0.2},
        "top_2_gram_ratio": {"most": 0.2},
        "top_3_gram_ratio": {"most": 0.18},
        "top_4_gram_ratio": {"most": 0.16},
        "duplicate_5_gram_ratio": {"most": 0.15},
        "duplicate_6_gram_ratio": {"most": 0.14},
        "duplicate_7_gram_ratio": {"most": 0.13},
        "duplicate_8_gram_ratio": {"most": 0.12},
        "duplicate_9_gram_ratio": {"most": 0.11},
        "duplicate_10_gram_ratio": {"most": 0.1},
    }
