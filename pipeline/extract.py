"""HTML in, text and images in reading order out: pure, without network, clock or global state."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.addresses import canonical
from pipeline.candidates import image_addresses, is_placeholder
from pipeline.markup import MOST_BYTES, base_address, decode, directives, parse, strings
from pipeline.salience import content_of
from pipeline.segments import Segments, cut


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
    base: str
    """What the page's relative addresses are relative to."""
    links: tuple[str, ...]
    """Targets of all links of the page as they are written, each once, also of those around the content."""
    directives: frozenset[str]
    """What `<meta name=robots>` asks for: noindex, noai, noimageai, noimageindex."""
    encoding: str


def extract(html: bytes, url: str, content_type: str | None = None) -> Page:
    """The content of the page `html` that was found at `url`; never raises, whatever the bytes are."""
    html = html[:MOST_BYTES]
    text, encoding = decode(html, content_type)
    tree = parse(text)
    base = base_address(tree, url)
    segments = cut(tree)
    return Page(
        url=url,
        title=_folded(" ".join(strings(tree, "//head/title[1]//text()"))),
        language=next(iter(strings(tree, "/html/@lang")), "").strip().lower(),
        blocks=tuple(_merge(_content(segments, html, url, base))),
        base=base,
        links=tuple(dict.fromkeys(strings(tree, "//a/@href"))),
        directives=directives(tree),
        encoding=encoding,
    )


def _content(segments: Segments, html: bytes, url: str, base: str) -> Iterator[TextBlock | ImageReference]:
    """The segments that belong to the content, as blocks."""
    keep = content_of(segments, html, url) if len(segments) else ()
    for kept, text, image, caption in zip(keep, segments.texts, segments.elements, segments.captions, strict=True):
        if not kept:
            continue
        if image is None:
            yield TextBlock(text=text, caption=caption)
        else:
            yield from _reference(image, base)


def _reference(image: Any, base: str) -> Iterator[ImageReference]:
    addresses = (canonical(address, base) for address in image_addresses(image) if not is_placeholder(address))
    urls = tuple(dict.fromkeys(filter(None, addresses)))
    if urls:
        alt, title = _folded(image.get("alt", "")), _folded(image.get("title", ""))
        yield ImageReference(url=urls[0], alternatives=urls[1:], alt=alt, title=title)


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


def _folded(text: str) -> str:
    return " ".join(text.split())
