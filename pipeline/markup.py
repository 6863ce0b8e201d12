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
NESTING_TAGS = re.compile(r"<(?!/?(?:p|h[1-6]|br|img|title|meta|base)\b)[^<>]*>", re.IGNORECASE)
CODE = re.compile(r"<(script|style)\b", re.IGNORECASE)
ALL_TAGS = re.compile(r"<[^<>]*>")
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
    """The root element of the page; an empty page where there is none.

    libxml2 drops what is nested deeper than 2,048 elements, and all that follows it. Such a page is read once more
    without the tags that nest, and if that is not enough, as plain text.
    """
    text = UNPARSABLE.sub(" ", text)
    tree, complete = _parse(text)
    for tags in (NESTING_TAGS, ALL_TAGS):
        if complete:
            break
        tree, complete = _parse(tags.sub(" ", without_code(text)))
    return tree


def without_code(text: str) -> str:
    """The page without its scripts and style sheets. By two searches, since one lazy pattern takes quadratic time."""
    kept, position = [], 0
    while start := CODE.search(text, position):
        kept.append(text[position : start.start()])
        end = re.compile(f"</{start.group(1)}", re.IGNORECASE).search(text, start.end())
        position = end.start() if end else len(text)
    return "".join([*kept, text[position:]])


def _parse(text: str) -> tuple[Any, bool]:
    """The root element, and whether libxml2 went all the way down."""
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = lxml.html.document_fromstring(text.encode("utf-8"), parser=parser)
    except (lxml.etree.LxmlError, ValueError):
        tree = lxml.html.document_fromstring(b"<html><body></body></html>")
    complete = not any("Excessive depth" in entry.message for entry in parser.error_log)
    return tree.getroottree().getroot(), complete


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
