"""Measures of captions against values counted by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.caption import MEASURES, measure_caption


def test_a_sentence_is_counted_as_by_hand():
    assert measure_caption("A pizza - on 2 plates.") == {
        "words": 5.0,  # the dash is none
        "tokens": 7.0,  # but it is a token, and so is the full stop
        "letter_ratio": 14 / 17,  # A pizza on plates has 14; with - 2 . it is 17
        "file_name": 0.0,
        "date": 0.0,
    }


@pytest.mark.parametrize(
    "text",
    ["IMG_1234", "DSC01234.JPG", "beach at night.jpeg", "photo 3", "Screenshot 2020-01-02", "alt_img_2", "P1020"],
)
def test_names_of_files(text):
    assert measure_caption(text)["file_name"] == 1


@pytest.mark.parametrize("text", ["alt", "A photo of 3 dogs", "image of a dog", "Windows 10", "Pier 39", "e.g. a cat"])
def test_what_is_no_name_of_a_file(text):
    assert measure_caption(text)["file_name"] == 0


@pytest.mark.parametrize(
    "text", ["2013", "12 May 2013", "2013-05-12T10:32:11Z", "Monday the 3rd of June, 10 pm", "12/5/13", "Sept. 2020"]
)
def test_dates(text):
    assert measure_caption(text)["date"] == 1


@pytest.mark.parametrize("text", ["", "the", "of the", "May I come in?", "3 dogs", "summer 2013", "12345"])
def test_what_is_no_date(text):
    assert measure_caption(text)["date"] == 0


@given(st.text())
def test_every_text_has_every_measure_within_its_bounds(text):
    measures = measure_caption(text)
    assert measures.keys() == MEASURES.keys()
    assert all(MEASURES[name].least <= value <= MEASURES[name].most for name, value in measures.items())
