"""What is known of a page whose content is marked, in the words of ground-truth.json."""

import re
from dataclasses import dataclass

from bs4 import BeautifulSoup

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
"""A word, or a character of the scripts without spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What ground-truth.json says about a page."""

    url: str
    page_type: str
    articleBody: str
    images: list[str] | None
    """Absolute addresses of the content's pictures; None where unknown."""
    origin: str


def soup_of(text: str) -> BeautifulSoup:
    """The page, without the XML declaration that BeautifulSoup would warn of."""
    return BeautifulSoup(re.sub(r"^\s*<\?xml[^>]*>", "", text), "lxml")
