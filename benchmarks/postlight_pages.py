"""The pages of postlight/parser, with the content that its people's selectors take of them."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.element import PageElement, PreformattedString
from soupsieve import SelectorSyntaxError

from benchmarks.labels import Label, soup_of
from pipeline.extraction.encodings import decode
from pipeline.extraction.head import read_head
from pipeline.extraction.markup import parse

PAGE_TYPES: Mapping[str, str] = {
    "postlight-bookwalker.jp": "product",
    "postlight-www.oreilly.co.jp": "product",
    "postlight-github.com": "documentation",
    "postlight-jvndb.jvn.jp": "documentation",
}
"""What the pages are that are not articles."""
SHORT_NAME = 5
"""Letters that the name of a picture's file may share with another by chance."""
COMMENT = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)|//[^\n]*|/\*.*?\*/""", re.DOTALL)
"""Of JavaScript. The group is a string, in which no comment starts."""
LEFTOVER_NAMES = (
    "share sharing social newsletter related promo recirc comment sponsor tags breadcrumb signup subscribe outbrain "
    "taboola readmore read-more recommend advert"
).split()
LEFTOVERS = ", ".join(
    ("form", "nav", "footer", *(f"[{name}*={word} i]" for name in ("class", "id") for word in LEFTOVER_NAMES))
)
"""What postlight's general cleaner takes after the selectors of the site."""
MOST_LEFTOVER = 0.2
"""A larger share of the content is no leftover: the name says something else there."""
OTHER_LINES = re.compile(
    r"(?:advertisement|share this(?: \w+)?|read more|related|see also|view images|enlarge this image|trending stories|"
    r"comments(?: are closed)?|more like this|source link|follow us(?: on \w+)?|launch gallery|watch|\W*page top|"
    r"more \w+ news)\W*",
    re.IGNORECASE,
)
"""Lines that are no content, whole."""
UNSEEN = ("script", "style", "noscript", "template", "svg", "iframe", "head", "title", "button", "select", "textarea")
INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark q rb rp rt ruby s samp small span "
    "strike strong sub sup time tt u var wbr".split()
)


def postlight_pages(checkout: Path) -> Iterator[tuple[str, bytes, Label]]:
    """The fixtures of postlight/parser whose extractor selects something."""
    extractors = dict(_extractors(checkout))
    tests = [path.read_text() for path in sorted(checkout.glob("src/extractors/custom/*/index.test.js"))]
    for path in sorted((checkout / "fixtures").glob("*.html")):
        html, site = path.read_bytes(), path.stem.split("--")[0]
        extractor = extractors.get(site)
        if extractor is None:
            continue
        text = decode(html, None).text
        soup = soup_of(text)
        url = _tested_url(path.name, tests) or _canonical(soup) or f"https://{site}/"
        parts = _selected(soup, *extractor)
        if parts:
            name = f"postlight-{path.stem}"
            yield (
                name,
                html,
                Label(
                    url=url,
                    page_type=PAGE_TYPES.get(name, "article"),
                    articleBody="\n".join(filter(None, map(_text, parts))),
                    images=_selected_pictures(soup, parts, read_head(parse(text), url).base),
                    origin=f"postlight/parser fixtures/{path.name}",
                ),
            )


def _extractors(checkout: Path) -> Iterator[tuple[str, tuple[list[Any], list[str]]]]:
    """The content's selectors, and those of what is removed from it, by host."""
    for path in sorted(checkout.glob("src/extractors/custom/*/index.js")):
        source = COMMENT.sub(lambda match: match[1] or "", path.read_text())
        content = source[source.find("content: {") :]
        try:
            clean = [one for one in _list_after("clean:", content) if isinstance(one, str)]
            rules = _list_after("selectors:", content), clean
        except (ValueError, SyntaxError):
            continue
        if "content: {" in source:
            for host in (path.parent.name, *_list_after("supportedDomains:", source)):
                yield host, rules


def _list_after(key: str, source: str) -> list[Any]:
    """The array literal of JavaScript behind the first `key`, which is one of Python too; none if it is not there."""
    start = source.find(key)
    if start < 0:
        return []
    start = source.index("[", start)
    for end in (match.end() for match in re.finditer("]", source[start:])):
        try:
            return ast.literal_eval(source[start : start + end])
        except SyntaxError:
            continue
    raise ValueError(f"no array of strings behind {key}")


def _tested_url(fixture: str, tests: Sequence[str]) -> str:
    """The address that the tests give to the fixture: it stands just before or after its name."""
    for source in tests:
        place = source.find(f"/{fixture}'")
        if place >= 0:
            found = list(re.finditer(r"'(https?://[^'\s]+)'", source))
            nearest = min(found, key=lambda match: abs(match.start() - place), default=None)
            return nearest[1] if nearest else ""
    return ""


def _canonical(soup: BeautifulSoup) -> str:
    link = soup.select_one("link[rel=canonical][href^=http]")
    return str(link["href"]) if link else ""


def _selected(soup: BeautifulSoup, selectors: Sequence[Any], clean: Sequence[str]) -> list[Tag]:
    """What the first fitting selector takes, less what is to be removed: a list must match whole, a string once."""
    for selector in selectors:
        several = isinstance(selector, list)
        try:
            found = [soup.select(one) for one in (selector if several else [selector])]
        except SelectorSyntaxError:
            continue
        if all(found) if several else len(found[0]) == 1 and found[0][0].get_text().strip():
            break
    else:
        return []
    chosen = soup.select(", ".join(selector) if several else selector)
    for one in clean:
        try:
            unwanted = soup.select(one)
        except SelectorSyntaxError:
            continue
        for element in unwanted:
            if any(element is part or part in element.parents for part in chosen):
                element.extract()
                chosen = [part for part in chosen if part is not element]
    return _without_leftovers([part for part in chosen if not any(other in part.parents for other in chosen)])


def _without_leftovers(parts: list[Tag]) -> list[Tag]:
    for part in parts:
        most = MOST_LEFTOVER * len(part.get_text())
        for element in part.select(LEFTOVERS):
            if len(element.get_text()) <= most:
                element.extract()
    return parts


def _text(part: Tag) -> str:
    """The visible text of `part`, a line for each block."""
    pieces = [piece for child in part.children for piece in _pieces(child)]
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line and not OTHER_LINES.fullmatch(line))


def _pieces(node: PageElement) -> Iterator[str]:
    if isinstance(node, Tag):
        if node.name in UNSEEN:
            return
        edge = "" if node.name in INLINE else "\n"
        yield edge
        for child in node.children:
            yield from _pieces(child)
        yield edge
    elif not isinstance(node, PreformattedString):
        yield re.sub(r"\s+", " ", str(node))


def _selected_pictures(soup: BeautifulSoup, parts: Sequence[Tag], base: str) -> list[str] | None:
    """The addresses of the pictures in `parts`.

    Unknown where there are none, and where the picture that stands for the page is elsewhere on it: the extractors
    leave pictures above the text to other rules.
    """
    inside = sorted(set(_image_addresses(parts, base)))
    lead = soup.select_one("meta[property='og:image'][content]")
    name = Path(urlsplit(str(lead["content"])).path).stem if lead else ""
    if len(name) > SHORT_NAME and not any(name in address for address in inside):
        whole = [element for element in soup.select("img, source") if _is_image(element)]
        if any(name in address for address in _image_addresses(whole, base)):
            return None
    return inside or None


def _image_addresses(parts: Sequence[Tag], base: str) -> Iterator[str]:
    """Everything in the images of `parts` that may be an address, absolute."""
    for image in (image for part in parts for image in (part, *part.find_all(True)) if _is_image(image)):
        for name, value in image.attrs.items():
            if name == "src" or name == "srcset" or name.startswith("data-"):
                for word in re.split(r",\s+", str(value)) if "srcset" in name else [str(value)]:
                    address = (word.split() or [""])[0]
                    if re.match(r"https?://|/|\.|[\w%./-]+\.(?i:jpe?g|png|gif|webp|avif)\b", address):
                        try:
                            yield urljoin(base, address)
                        except ValueError:
                            continue


def _is_image(element: Tag) -> bool:
    return element.name == "img" or (element.name == "source" and element.find_parent("picture") is not None)
