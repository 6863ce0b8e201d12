"""From the text of a page to its element tree."""

import re
from typing import Any

import lxml.etree

NESTING_TAGS = re.compile(r"<(?!/?(?:p|h[1-6]|br|img|title|meta|base)\b)[^<>]*>", re.IGNORECASE)
CODE = re.compile(r"<(script|style)\b", re.IGNORECASE)
ALL_TAGS = re.compile(r"<[^<>]*>")


LONG_PAGE = 50_000
"""Bytes from which a page is searched for `CROWDED_TAG`; in a shorter one such a tag takes a third of a second."""
ROW = 4_096
"""Somewhere in a tag with 2,000 attributes is a row of so many bytes without a `<`, unless its values hold some."""
_ATTRIBUTE = rb"""(?: [\s/]*+ [^\s/>][^\s/>=]*+ (?: ="[^"]*+" | \s*+=\s*+ (?:"[^"]*+" | '[^']*+' | [^\s>]*+) )?+ )"""
CROWDED_TAG = re.compile(
    rb"<[a-zA-Z][^\s/>]*+ %(attribute)b{0,1999}+ (?P<more> %(attribute)b++ [^>]*+ )?+" % {b"attribute": _ATTRIBUTE},
    re.VERBOSE,
)
"""A tag, with `more` than 1,999 attributes or not. libxml2 takes time with the square of the attributes of an element,
half a minute for 500 KB of them; real ones have at most 36."""


def parse(page: bytes | str) -> Any:
    """The root element of the page, given as text or in UTF-8; an empty page where there is none.

    libxml2 drops what is nested deeper than 2,048 elements, and all that follows it. Such a page is read once more
    without the tags that nest, and if that is not enough, as plain text.
    """
    html = page if isinstance(page, bytes) else page.encode("utf-8", "replace")
    if len(html) > LONG_PAGE and _without_crowded_tags(html) is not html:
        # Scripts look like such tags.
        html = _without_crowded_tags(without_code(html.decode("utf-8")).encode())
    tree, complete = _parse(html)
    for tags in (NESTING_TAGS, ALL_TAGS):
        if complete:
            break
        tree, complete = _parse(tags.sub(" ", without_code(html.decode("utf-8"))).encode())
    return tree


def _without_crowded_tags(html: bytes) -> bytes:
    """The page with `<x` for each tag that has more than 1,999 attributes, found by the rows that it fills.

    To read every tag takes thirty times as long, for what nobody writes but to slow a reader down.
    """
    kept, copied, read = list[bytes](), 0, 0
    for row in range(ROW, len(html) - ROW + 1, ROW):
        if html.find(b"<", row, row + ROW) >= 0:
            continue
        start = max(read, row - ROW)
        tag = html.rfind(b"<", start, row)
        found = CROWDED_TAG.match(html, tag) if tag >= 0 else None
        if found and found["more"]:
            # That `<` may stand in a value of another tag: the tags of the row are read in their order.
            found = next(one for one in CROWDED_TAG.finditer(html, start) if one.end() > tag)
        if found:
            read = found.end()
            if found["more"]:
                kept += [html[copied : found.start()], b"<x"]
                copied = read
    return b"".join([*kept, html[copied:]]) if kept else html


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
