"""Explicit addresses, by words in them and by lists of sites."""

import pytest

from pipeline.rules.explicit import measure_address, read_address_lists
from shards.errors import DatasetError


def words_in(address: str, words: str | None = None) -> float:
    return measure_address(address, read_address_lists(words))["explicit_address_words"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://example.org/essex/sussex-news", 0),
        ("https://en.wikipedia.org/wiki/Milford", 0),
        ("https://example.org/xxxl-shirts", 0),
        ("https://example.org/XXX", 1),
        ("https://bestpornsite.com/x", 1),
        ("https://hentai.example.org/milf/1", 2),
    ],
)
def test_the_packages_words_stand_alone_or_where_they_may_go_on(address, words):
    assert words_in(address) == words


def test_a_list_of_ones_own(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("Casino\n\nbet*\n*loan*\n")
    addresses = ["https://a.org/casino_x", "https://a.org/casinos", "https://betting.org/", "https://abet.org/payloans"]
    assert [words_in(address, str(file)) for address in addresses] == [1, 0, 1, 1]


def test_sites_are_listed_with_all_below_them(tmp_path):
    file = tmp_path / "sites.txt"
    file.write_text("example.org # a remark\nhttps://example.com/a\n")
    lists = read_address_lists(sites=str(file))
    addresses = [
        "https://www.example.org/x",
        "https://anexample.org/",
        "https://example.com/a",
        "https://example.com/b",
    ]
    assert [measure_address(address, lists)["listed_address"] for address in addresses] == [1, 0, 1, 0]


def test_a_bad_list_is_refused_with_its_line(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("good\nnot.good\n")
    with pytest.raises(ValueError, match=r"has the word 'not\.good'; it must be of letters and digits"):
        read_address_lists(str(file))
    file.write_text("a b\n")
    with pytest.raises(ValueError, match=r"^line 1 of \S+list\.txt is 'a b'"):
        read_address_lists(sites=str(file))


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="absent"):
        read_address_lists(str(tmp_path / "absent"))
