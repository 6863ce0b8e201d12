"""The language of texts: py3langid's model, a fastText one made here, and what cannot be loaded."""

import json
import sys
from pathlib import Path

import pytest

from pipeline.rules.language import (
    FEWEST_WORDS,
    MOST_CHARACTERS,
    check_languages,
    measure_language,
    open_language,
    paragraph_language,
)

ENGLISH = "All human beings are born free and equal in dignity and rights."
GERMAN = "Alle Menschen sind frei und gleich an W\u00fcrde und Rechten geboren."
FRENCH = "Tous les \u00eatres humains naissent libres et \u00e9gaux en dignit\u00e9 et en droits."


@pytest.fixture
def fasttext_model() -> str:
    """A model of 877 bytes that knows ENGLISH from GERMAN.

    fastText 0.9.2's train_supervised(dim=4, epoch=40, thread=1) made it from 50 lines of each, in a process of its own:
    training starts from memory that it has not cleared, and in a process that has run a while ends in NaN.
    """
    pytest.importorskip("fasttext", reason="fastText is an extra")
    return str(Path(__file__).parent / "two_languages.bin")


@pytest.mark.parametrize(("text", "code"), [(ENGLISH, "en"), (GERMAN, "de"), (FRENCH, "fr")])
def test_py3langid_names_the_language(text, code):
    found, probability = open_language()(text)
    assert found == code
    assert 0.9 < probability <= 1


@pytest.mark.parametrize("text", ["", " \n", "12 34", "\u2014"])
def test_a_text_without_letters_has_no_language(text):
    code, probability = open_language()(text)
    assert code == "und"
    assert probability < 0.05


def test_the_start_of_a_text_decides():
    start = f"{ENGLISH} " * (MOST_CHARACTERS // len(ENGLISH) + 1)
    assert open_language()(start + GERMAN * 1000) == open_language()(start)


def test_a_fasttext_model_names_the_language(fasttext_model):
    identify = open_language(fasttext_model)
    code, probability = identify(f"gleich\n{GERMAN}")
    assert code == "de"
    assert 0.9 < probability <= 1
    assert identify(ENGLISH)[0] == "en"


def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path):
    pytest.importorskip("fasttext", reason="fastText is an extra")
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"^\S+model.bin cannot be loaded as a fastText model.*wrong file format"):
        open_language(str(tmp_path / "model.bin"))
    with pytest.raises(ValueError, match=r"^\S+absent.bin cannot be loaded as a fastText model"):
        open_language(str(tmp_path / "absent.bin"))


def test_without_fasttext_a_model_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fasttext", None)
    with pytest.raises(ValueError, match=r"^lid\.bin needs fastText; install it with pip install 'flamboyance"):
        open_language("lid.bin")


def test_a_short_paragraph_inherits_its_documents_language():
    """Its own is not asked for."""
    short, long = "word " * (FEWEST_WORDS - 1), "word " * FEWEST_WORDS
    assert paragraph_language(short, ("cy", 0.7), lambda _: ("en", 1.0)) == ("cy", 0.7)
    assert paragraph_language(long, ("cy", 0.7), lambda _: ("en", 1.0)) == ("en", 1.0)


def test_what_is_measured_is_the_probability_of_a_wanted_language():
    assert measure_language(("de", 0.75), ["en", "de"]) == {"wanted_language": 0.75}
    assert measure_language(("fr", 0.75), ["en", "de"]) == {"wanted_language": 0.0}


@pytest.mark.parametrize("wanted", [["english"], ["EN"], ["en", ""], ["en_US"], []])
def test_what_is_no_code_of_a_language_is_refused(wanted):
    with pytest.raises(ValueError, match=r"^text\.languages (has|is)"):
        check_languages("text.languages", wanted)


def test_codes_may_name_a_script():
    check_languages("text.languages", ["en", "deu", "zho_Hans"])


def test_english_paragraphs_of_twenty_words_are_called_english(material):
    """The figures for which short paragraphs inherit: py3langid on the English pages of WCXB."""
    pages = json.loads((material / "pages" / "wcxb" / "ground-truth.json").read_text()).values()
    identify = open_language()
    texts = [page["articleBody"] for page in pages if identify(page["articleBody"])[1] > 0.99]
    paragraphs = [paragraph for text in texts[:100] for paragraph in text.split("\n\n")]
    long = [paragraph for paragraph in paragraphs if len(paragraph.split()) >= FEWEST_WORDS]
    short = [paragraph for paragraph in paragraphs if 1 <= len(paragraph.split()) <= 4]
    assert share_of_english(long) > 0.97
    assert share_of_english(short) < 0.6


def share_of_english(paragraphs: list[str]) -> float:
    return sum(open_language()(paragraph)[0] == "en" for paragraph in paragraphs) / len(paragraphs)
