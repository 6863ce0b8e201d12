"""The list of those who do not want to be asked."""

import pytest

from pipeline.fetching.opt_out import NOBODY, read_opt_out
from shards.location import locate

LIST = """\ufeff# who asked to be left out
example.org
*.Images.example.com   # with all below it
bücher.de

http://shop.example/private/one.jpg
https://shop.example/two?colour=red#top
"""


@pytest.fixture
def write(tmp_path):
    """A function that writes a list and returns its location."""

    def write(text: str):
        (tmp_path / "out.txt").write_text(text, encoding="utf-8")
        return locate(str(tmp_path / "out.txt"))

    return write


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://example.org/", True),
        ("https://www.example.org:8080/a?b", True),
        ("https://notexample.org/", False),
        ("https://example.org.evil.net/", False),
        ("https://images.example.com/1.png", True),
        ("https://a.b.images.example.com/1.png", True),
        ("https://example.com/1.png", False),
        ("http://xn--bcher-kva.de/", True),
        ("http://EXAMPLE.org./", True),
        ("http://shop.example/private/one.jpg", True),
        ("http://shop.example/private/", False),
        ("https://shop.example/two?colour=red", True),
        ("https://shop.example/two", False),
        ("http://[::1]/", False),
    ],
)
def test_a_domain_stands_for_all_below_it_and_an_address_for_itself(write, address, expected):
    assert read_opt_out(write(LIST)).refuses(address) is expected


def test_nobody_is_refused_by_default():
    assert not NOBODY.refuses("http://example.org/")


@pytest.mark.parametrize("line", ["ftp://example.org/", "example.org/path", "two words", "http://user:pw@a.org/"])
def test_a_line_that_is_neither_is_named_with_its_number(write, line):
    with pytest.raises(ValueError, match=r"line 2 of .*out\.txt is"):
        read_opt_out(write(f"example.org\n{line}\n"))
