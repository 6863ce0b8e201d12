"""The extractors that are compared: ours, its peers, and a bare parse and walk that keeps everything on the page."""

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import lxml.etree
import lxml.html

from pipeline.extract import extract
from pipeline.page import ImageReference, Page, TextBlock

OURS = "flamboyance"
BARE_WALK = "bare walk"
INLINE = frozenset(
    "a abbr b bdi bdo big cite code data del dfn em font hi i ins kbd mark q ref s samp small span strong sub sup tt u "
    "var wbr".split()
)
"""Elements of HTML and of trafilatura's XML that stand within a word or sentence."""
UNSEEN = frozenset("title script style noscript template".split())
"""Not `head`: in trafilatura's XML that is a heading."""

Block = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extractor:
    """One column of the comparison."""

    name: str
    run: Callable[[bytes, str], Any]
    """What is timed: a page's bytes and address in, whatever the extractor gives out."""
    blocks: Callable[[Any], list[Block]]
    """That output as blocks for the scorers; not timed."""


def installed_extractors(with_peers: bool) -> list[Extractor]:
    """Ours and the bare walk; between them, where asked for, the peers that are installed."""
    ours = Extractor(name=OURS, run=extract, blocks=_page_blocks)
    walk = Extractor(name=BARE_WALK, run=_parse_and_walk, blocks=_tree_blocks)
    return [ours, *(_peers() if with_peers else ()), walk]


def missing_peers() -> list[str]:
    """The peers that the `bench` extra would install and that are not here."""
    modules = {"trafilatura": "trafilatura", "readability-lxml": "readability"}
    return [name for name, module in modules.items() if find_spec(module) is None]


def _peers() -> Iterator[Extractor]:
    missing = missing_peers()
    if "trafilatura" not in missing:
        yield Extractor(name="trafilatura", run=_trafilatura(include_images=True), blocks=xml_blocks)
        yield Extractor(name="trafilatura, text alone", run=_trafilatura(include_images=False), blocks=xml_blocks)
    if "readability-lxml" not in missing:
        yield Extractor(name="readability-lxml", run=_readability(), blocks=_html_blocks)


def _trafilatura(include_images: bool) -> Callable[[bytes, str], str | None]:
    """trafilatura with the settings that score best over the three sets: its defaults, without comments."""
    run = importlib.import_module("trafilatura").extract
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    options = {"output_format": "xml", "include_comments": False, "include_images": include_images}
    return lambda html, url: run(html, url=url, **options)


def _readability() -> Callable[[bytes, str], str]:
    module = importlib.import_module("readability.readability")
    logging.getLogger("readability").setLevel(logging.CRITICAL)

    def run(html: bytes, url: str) -> str:
        try:
            return module.Document(html, url=url).summary()
        except module.Unparseable:  # its word for a page without content: an empty prediction
            return ""

    return run


def _parse_and_walk(html: bytes, url: str) -> Any:
    tree = lxml.html.document_fromstring(html)
    for element in tree.iter():
        _ = element.tag, element.text, element.tail
    return tree


def _page_blocks(page: Page) -> list[Block]:
    shown = (block for block in page.blocks if isinstance(block, TextBlock | ImageReference))
    return [
        {"type": "text", "text": block.text}
        if isinstance(block, TextBlock)
        else {"type": "image", "url": block.url, "alternatives": list(block.alternatives)}
        for block in shown
    ]


def xml_blocks(xml: str | None) -> list[Block]:
    """The blocks of trafilatura's XML; None is its word for a page without content."""
    return _tree_blocks(lxml.etree.fromstring(xml.encode()).find("main")) if xml else []


def _html_blocks(html: str) -> list[Block]:
    return _tree_blocks(lxml.html.document_fromstring(html)) if html else []


def _tree_blocks(root: Any) -> list[Block]:
    """Every text and every image of a tree, in document order."""
    blocks: list[Block] = []
    words: list[str] = []
    for part in _parts(root):
        if isinstance(part, str):
            words.append(part)
        else:
            blocks += [*_text("".join(words)), part]
            words.clear()
    return blocks + _text("".join(words))


def _text(text: str) -> list[Block]:
    return [{"type": "text", "text": text}] if text.strip() else []


def _parts(root: Any) -> Iterator[str | Block]:
    """Strings, with line breaks around elements that are not inline, and image blocks."""
    walker = lxml.etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walker:
        tag = element.tag if isinstance(element.tag, str) else "wbr"
        edge = "" if tag in INLINE else "\n"
        if event == "start" and tag in UNSEEN:
            walker.skip_subtree()
        elif event == "start":
            yield from _image(element, tag)
            yield edge + (element.text or "")
        elif element is not root:
            yield edge + (element.tail or "")


def _image(element: Any, tag: str) -> Iterator[Block]:
    address = (element.get("src") or element.get("data-src")) if tag in ("img", "graphic") else None
    if address:
        yield {"type": "image", "url": address, "alternatives": []}
