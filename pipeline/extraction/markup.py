"""From the text of a page to its element tree."""

import re
from typing import Any

import lxml.etree

NESTING_TAGS = re.compile(r"<(?!/?(?:p|h[1-6]|br|img|title|meta|base)\b)[^<>]*>", re.IGNORECASE)
CODE = re.compile(r"<(script|style)\b", re.IGNORECASE)
ALL_TAGS = re.compile(r"<[^<>]*>")


LONG_PAGE = 500_000
"""Bytes from which a page is searched for `CROWDED_TAG`; in a shorter one such a tag takes three seconds at most."""
_ATTRIBUTE = rb"""(?: [\s/]*+ [^\s/>][^\s/>=]*+ (?: ="[^"]*+" | \s*+=\s*+ (?:"[^"]*+" | '[^']*+' | [^\s>]*+) )?+ )"""
CROWDED_TAG = re.compile(
    rb"""(?P<before> [^<]*+ (?: <(?: /[^<]*+ | (?![a-zA-Z])[^<]*+
                 | [a-zA-Z][^\s/>]*+ %(attribute)b{0,1999}+ (?= [\s/]*+ (?:>|\Z) ) [^<]*+ ) )*+ )
         <[a-zA-Z][^\s/>]*+ %(attribute)b*+ [^>]*+"""
    % {b"attribute": _ATTRIBUTE},
    re.VERBOSE,
)
"""All up to the first tag with 2,000 attributes, and that tag. libxml2 takes time with the square of the attributes of
an element; real ones have at most 36. What comes before is part of the pattern, so that nothing is read twice."""


def parse(text: str, utf_8: bytes = b"") -> Any:
    """The root element of the page; an empty page where there is none. `utf_8` is `text` in UTF-8 if that is at hand.

    libxml2 drops what is nested deeper than 2,048 elements, and all that follows it. Such a page is read once more
    without the tags that nest, and if that is not enough, as plain text.
    """
    html = utf_8 or text.encode("utf-8", "replace")
    if len(html) > LONG_PAGE and CROWDED_TAG.match(html):
        # Scripts look like such tags.
        html = _without_crowded_tags(without_code(text).encode("utf-8", "replace"))
    tree, complete = _parse(html)
    for tags in (NESTING_TAGS, ALL_TAGS):
        if complete:
            break
        tree, complete = _parse(tags.sub(" ", without_code(text)).encode("utf-8", "replace"))
    return tree


def _without_crowded_tags(html: bytes) -> bytes:
    kept, position = [], 0
    while found := CROWDED_TAG.match(html, position):
        kept += [found["before"], b"<x"]
        position = found.end()
    return b"".join([*kept, html[position:]])


def without_code(text: str) -> str:
    """The page without its scripts and style sheets. By two searches, since one lazy pattern takes quadratic time."""
    kept, position = [], 0
    while start := CODE.search(text, position):
        kept.append(text[position : start.start()])
        end = re.compile(f"</{start.group(1)}", re.IGNORECASE).search(text, start.end())
        position = end.start() if end else len(text)
    return "".join([*kept, text[position:]])


def _parse(html: bytes) -> tuple[Any, bool]:
    """The root element, and whether libxml2 went all the way down."""
    parser = lxml.etree.HTMLParser(
        encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, collect_ids=False
    )
    try:
        tree = lxml.etree.fromstring(html.replace(b"\0", b" "), parser)  # libxml2 stops at a NUL
    except (lxml.etree.LxmlError, ValueError):
        tree = None
    if tree is None:
        tree = lxml.etree.fromstring("<html><body></body></html>", lxml.etree.HTMLParser())
    complete = not any("Excessive depth" in entry.message for entry in parser.error_log)
    return tree, complete
