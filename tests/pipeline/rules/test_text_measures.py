"""What the families give together, with lists and languages out of a config."""

import json
from pathlib import Path

import pytest

from pipeline.rules import personal, quality
from pipeline.rules.image import IMAGE_MEASURES
from pipeline.rules.text import (
    PARAGRAPH_MEASURES,
    TEXT_MEASURES,
    TextConfig,
    check_lists,
    default_resources,
    document_language,
    measure_document,
    measure_paragraph,
    read_resources,
    word_count,
)
from pipeline.rules.word_lists import WordListFiles
from shards.errors import DatasetError

TEXT = "The pot is set on the fire, and the water that it holds has to boil.\n\nThen serve with bread, and eat."


@pytest.fixture
def resources(tmp_path):
    (tmp_path / "common.txt").write_text("\ufeffThe\npot\n", encoding="utf-8")
    (tmp_path / "stop.txt").write_text("pot\n")
    files = WordListFiles(common_words=str(tmp_path / "common.txt"), stop_words=str(tmp_path / "stop.txt"))
    return read_resources(TextConfig(words=files, languages=("de",)))


def test_every_measure_is_taken(resources):
    assert measure_document(TEXT, "https://example.org/", resources).keys() == TEXT_MEASURES.keys()
    assert measure_paragraph(TEXT, resources=resources).keys() == PARAGRAPH_MEASURES.keys()


def test_without_a_list_common_words_are_not_measured():
    assert TEXT_MEASURES.keys() - measure_document(TEXT).keys() == {"common_word_ratio"}
    assert PARAGRAPH_MEASURES.keys() - measure_paragraph(TEXT).keys() == {"common_word_ratio"}


def test_a_rule_on_common_words_needs_a_list():
    with pytest.raises(ValueError, match=r"^paragraph\.common_word_ratio needs a list of common words"):
        check_lists("paragraph", ["words", "common_word_ratio"], TextConfig())
    check_lists("paragraph", ["common_word_ratio"], TextConfig(words=WordListFiles(common_words="words.txt")))
    check_lists("paragraph", ["words"], TextConfig())


def test_the_readme_names_every_measure():
    readme = (Path(quality.__file__).parent / "README.md").read_text(encoding="utf-8")
    measures = {**TEXT_MEASURES, **PARAGRAPH_MEASURES, **IMAGE_MEASURES, **personal.MEASURES}
    assert [name for name in measures if f"`{name}`" not in readme] == []


def test_every_value_is_one_that_its_measure_can_have(material):
    pages = json.loads((material / "pages" / "wcxb" / "ground-truth.json").read_text()).values()
    for text in ["", *(page["articleBody"] for page in pages)][:60]:
        for name, value in (measure_document(text) | measure_paragraph(text)).items():
            assert TEXT_MEASURES[name].least <= value <= TEXT_MEASURES[name].most, (name, text)


def test_lists_and_languages_are_those_of_the_config(resources):
    measures = measure_paragraph("The pot and the POT", ("en", 0.9), resources)
    assert measures["stop_word_ratio"] == pytest.approx(2 / 5)
    assert measures["common_word_ratio"] == pytest.approx(4 / 5)
    assert measures["wanted_language"] == 0


def test_a_short_paragraph_has_its_documents_language():
    assert document_language(TEXT)[0] == "en"
    assert measure_paragraph("Bon app\u00e9tit", ("en", 0.875))["wanted_language"] == 0.875


def test_the_address_of_a_document_is_measured():
    assert measure_document(TEXT, "https://example.org/xxx")["explicit_address_words"] == 1


def test_languages_are_checked():
    with pytest.raises(ValueError, match=r"^text\.languages has 'english'; it must be a code of ISO 639"):
        TextConfig(languages=("english",))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\n \n", "is a list of words without a word"), (b"caf\xe9\n", "is no list of words: byte 3 is not UTF-8")],
)
def test_a_bad_list_of_words_is_refused(tmp_path, content, sentence):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=sentence):
        read_resources(TextConfig(words=WordListFiles(spam_words=str(tmp_path / "list.txt"))))


@pytest.mark.parametrize("kind", ["stop_words", "flagged_words", "spam_words"])
def test_the_packages_lists_are_lower_case_words(kind):
    words = getattr(default_resources().words, kind)
    assert len(words) > 40
    assert all(word == word.lower().strip() for word in words)


def test_a_word_has_a_letter_or_a_digit():
    assert word_count("a - b\u2014 7 \u2014 \u20ac ...") == 3
