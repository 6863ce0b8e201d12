"""From the bytes of a page to its element tree, and what the page says of itself outside its content."""

import codecs
import re
from typing import Any

import lxml.etree
import lxml.html
from bs4.dammit import EncodingDetector, UnicodeDammit

from pipeline.addresses import canonical

MOST_BYTES = 10_000_000
"""A longer page is cut here."""
OPT_OUT = frozenset(("noindex", "noai", "noimageai", "noimageindex"))
UNPARSABLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff]")
"""XML 1.0 has no place for most control characters, and libxml2 stops at a NUL."""


def decode(html: bytes, content_type: str | None) -> tuple[str, str]:
    """Text, and the name of its encoding: by BOM, Content-Type, `<meta>`, UTF-8 where it fits, then detection."""
    declared = re.search(r"charset=[\"']?([\w.:-]+)", content_type or "", re.IGNORECASE)
    in_page = EncodingDetector.find_declared_encoding(html[:8192], is_html=True)
    named = [name for name in (declared and declared.group(1), in_page) if name]
    starts_with_mark = html.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not starts_with_mark and all(name.lower() in ("utf-8", "utf8") for name in named):
        try:
            return html.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    dammit = UnicodeDammit(html, known_definite_encodings=named[:1], user_encodings=named[1:])
    if dammit.unicode_markup is None:
        return html.decode("utf-8", "replace"), "utf-8"
    return dammit.unicode_markup, dammit.original_encoding or "utf-8"


def parse(text: str) -> Any:
    """The root element of the page; an empty page where there is none."""
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = lxml.html.document_fromstring(UNPARSABLE.sub(" ", text).encode("utf-8"), parser=parser)
    except (lxml.etree.LxmlError, ValueError):
        tree = lxml.html.document_fromstring(b"<html><body></body></html>")
    return tree.getroottree().getroot()


def base_address(tree: Any, url: str) -> str:
    """What relative addresses of the page are relative to."""
    declared = next(iter(strings(tree, "//base/@href")), "")
    return canonical(declared, url) or url


def directives(tree: Any) -> frozenset[str]:
    """What `<meta name=robots>` asks for: noindex, noai, noimageai, noimageindex."""
    contents = strings(tree, "//meta[translate(@name, 'ROBTS', 'robts')='robots']/@content")
    words = {word.strip().lower() for content in contents for word in content.split(",")}
    return frozenset((words | ({"noindex"} if "none" in words else set())) & OPT_OUT)


def strings(tree: Any, query: str) -> list[str]:
    return [str(found) for found in tree.xpath(query)]
