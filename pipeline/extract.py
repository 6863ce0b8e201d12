"""HTML in, text and images in reading order out: pure, without network, clock or global state."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lxml.etree
import lxml.html
from bs4.dammit import EncodingDetector, UnicodeDammit

from pipeline.addresses import canonical

MOST_BYTES = 10_000_000
"""A longer page is cut here."""
SKIPPED = frozenset(
    "script style template head nav footer aside form button select textarea iframe object svg math dialog".split()
)
"""Elements whose content is no part of what a page says."""
BLOCKS = frozenset(
    "address article blockquote body br caption center dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 "
    "h6 header hr li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
"""Elements that begin and end a paragraph."""
BOILERPLATE = re.compile(
    r"\b(nav|navbar|navigation|menu|footer|sidebar|breadcrumbs?|cookies?|consent|share|sharing|social|related|"
    r"recommended|comments?|advert|ads|sponsored|newsletter|subscribe|popup|modal|skip-link)\b"
)
"""Words of `class` and `id` that mark what surrounds the content."""
ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "complementary", "dialog", "menu"))
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden")
LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-image", "data-url")
"""Attributes in which lazy loading keeps the address of the real picture."""
OPT_OUT = frozenset(("noindex", "noai", "noimageai", "noimageindex"))
WHITE_SPACE = re.compile(r"[ \t\r\n\f\v]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBlock:
    text: str
    caption: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """A picture that the page names, not fetched yet."""

    url: str
    alternatives: tuple[str, ...] = ()
    """Other addresses that the page gives for the same picture, the best first."""
    alt: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page says, in reading order."""

    url: str
    title: str
    language: str
    blocks: tuple[TextBlock | ImageReference, ...]
    links: tuple[str, ...]
    """Absolute addresses of all links of the page, also of those around the content."""
    directives: frozenset[str]
    """What `<meta name=robots>` asks for: noindex, noai, noimageai, noimageindex."""
    encoding: str


def extract(html: bytes, url: str, content_type: str | None = None) -> Page:
    """The content of the page `html` that was found at `url`; never raises, whatever the bytes are."""
    text, encoding = _decode(html[:MOST_BYTES], content_type)
    tree = _parse(text)
    base = _base(tree, url)
    return Page(
        url=url,
        title=_clean(" ".join(_strings(tree, "//head/title[1]//text()"))),
        language=next(iter(_strings(tree, "/html/@lang")), "").strip().lower(),
        blocks=tuple(_merge(_walk(_content_root(tree), base))),
        links=tuple(dict.fromkeys(filter(None, (canonical(link, base) for link in _strings(tree, "//a/@href"))))),
        directives=_directives(tree),
        encoding=encoding,
    )


def _decode(html: bytes, content_type: str | None) -> tuple[str, str]:
    """Text, and the name of its encoding: by BOM, Content-Type, `<meta>`, then detection."""
    declared = re.search(r"charset=[\"']?([\w.:-]+)", content_type or "", re.IGNORECASE)
    known = [declared.group(1)] if declared else []
    in_page = EncodingDetector.find_declared_encoding(html, is_html=True)
    dammit = UnicodeDammit(html, known_definite_encodings=known, user_encodings=[in_page] if in_page else [])
    if dammit.unicode_markup is None:
        return html.decode("utf-8", "replace"), "utf-8"
    return dammit.unicode_markup, dammit.original_encoding or "ascii"


def _parse(text: str) -> Any:
    # XML 1.0 has no place for most control characters, and libxml2 stops at a NUL.
    text = re.sub(r"[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff]", " ", text)
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = lxml.html.document_fromstring(text.encode("utf-8"), parser=parser)
    except (lxml.etree.LxmlError, ValueError):
        tree = lxml.html.document_fromstring(b"<html><body></body></html>")
    return tree.getroottree().getroot()


def _base(tree: Any, url: str) -> str:
    declared = next(iter(_strings(tree, "//base/@href")), "")
    return canonical(declared, url) or url


def _content_root(tree: Any) -> Any:
    """The element that the page exists for, where it marks one; otherwise its body."""
    for query in ("//main", "//*[@role='main']", "//article"):
        found = tree.xpath(query)
        if len(found) == 1 and len(found[0].text_content().strip()) > 0:
            return found[0]
    bodies = tree.xpath("//body")
    return bodies[0] if bodies else tree


def _walk(root: Any, base: str) -> Iterator[TextBlock | ImageReference]:
    """Paragraphs and images below `root`, in document order."""
    words: list[str] = []
    captions = 0
    walker = lxml.etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walker:
        tag = element.tag if isinstance(element.tag, str) else ""
        if tag in BLOCKS and event in ("start", "end") and words:
            yield from _paragraph(words, captions > 0)
        captions += (tag == "figcaption") * ((event == "start") - (event == "end"))
        if event == "start":
            if _is_boilerplate(element, tag):
                walker.skip_subtree()
            elif tag == "img":
                yield from _paragraph(words, captions > 0)
                yield from _image(element, base)
            elif tag:
                words.append(element.text or "")
        elif element is not root:
            words.append(element.tail or "")
    yield from _paragraph(words, captions > 0)


def _paragraph(words: list[str], caption: bool) -> Iterator[TextBlock]:
    text = _clean("".join(words))
    words.clear()
    if text:
        yield TextBlock(text=text, caption=caption)


def _is_boilerplate(element: Any, tag: str) -> bool:
    if tag in SKIPPED or element.get("hidden") is not None or element.get("aria-hidden") == "true":
        return True
    if element.get("role") in ROLES or HIDDEN.search(element.get("style", "")):
        return True
    if tag in ("body", "main", "article"):
        return False
    return bool(BOILERPLATE.search(f"{element.get('class', '')} {element.get('id', '')}".lower()))


def _image(element: Any, base: str) -> Iterator[ImageReference]:
    addresses = (canonical(address, base) for address in _addresses(element) if not _is_placeholder(address))
    urls = tuple(dict.fromkeys(filter(None, addresses)))
    if urls:
        alt, title = _clean(element.get("alt", "")), _clean(element.get("title", ""))
        yield ImageReference(url=urls[0], alternatives=urls[1:], alt=alt, title=title)


def _addresses(element: Any) -> Iterator[str]:
    """Every address that an `<img>` gives, the best first."""
    # libxml2 knows no void <source>: an <img> after one is parsed as its child.
    picture = next(element.iterancestors("picture"), None)
    for source in (element, *(picture.iter("source") if picture is not None else ())):
        for name in ("srcset", "data-srcset"):
            yield from _candidates(source.get(name, ""))
    for name in (*LAZY, "src"):
        if element.get(name):
            yield element.get(name)


def _candidates(srcset: str) -> list[str]:
    """The addresses of a `srcset`, the widest or densest first."""
    found = re.findall(r"(\S*[^\s,])(?:\s+([\d.]+)[wx])?\s*(?:,|$)", srcset)
    return [address for address, _ in sorted(found, key=lambda pair: -_number(pair[1]))]


def _number(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 1.0


def _is_placeholder(address: str) -> bool:
    return address.strip().startswith("data:") or bool(
        re.search(r"(spacer|blank|pixel|placeholder)\.(gif|png)", address)
    )


def _merge(blocks: Iterator[TextBlock | ImageReference]) -> Iterator[TextBlock | ImageReference]:
    """Joins paragraphs that no image and no caption separates, and names each picture once."""
    pending: list[str] = []
    seen: set[str] = set()
    for block in blocks:
        if isinstance(block, TextBlock) and not block.caption:
            pending.append(block.text)
        elif isinstance(block, TextBlock) or block.url not in seen:
            if pending:
                yield TextBlock(text="\n\n".join(pending))
                pending = []
            if isinstance(block, ImageReference):
                seen.add(block.url)
            yield block
    if pending:
        yield TextBlock(text="\n\n".join(pending))


def _directives(tree: Any) -> frozenset[str]:
    contents = _strings(tree, "//meta[translate(@name, 'ROBTS', 'robts')='robots']/@content")
    words = {word.strip().lower() for content in contents for word in content.split(",")}
    return frozenset((words | ({"noindex"} if "none" in words else set())) & OPT_OUT)


def _strings(tree: Any, query: str) -> list[str]:
    return [str(found) for found in tree.xpath(query)]


def _clean(text: str) -> str:
    return WHITE_SPACE.sub(" ", text).strip()
