"""What extraction makes of a page: its text and its media in reading order, and where each of them came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBlock:
    """Text that no medium interrupts and out of which nothing was left."""

    text: str
    """Paragraphs parted by an empty line, list items marked by a dash, cells of a row parted by a bar."""
    caption: bool = False
    """Whether it is the caption of the medium beside it."""
    path: str = ""
    """Of the innermost element that holds all of it, as XPath on the tree that lxml.html parses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """A picture that the page names, not fetched yet."""

    url: str
    """The address to try first: http(s), or `data:` for a picture that stands in the page itself."""
    alternatives: tuple[str, ...] = ()
    """Other addresses that the page gives for the same picture, the best first."""
    alt: str = ""
    title: str = ""
    attribute: str = ""
    """Where the first address stands, such as `src`, `data-src` or `source srcset`."""
    width: int = 0
    """Declared width in pixels, 0 where none is."""
    height: int = 0
    licence: str = ""
    """Address or words of the picture's licence, where its figure, its attributes or JSON-LD name one."""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoReference:
    """A video, a player of one, or a sound, that the page names."""

    kind: Literal["video", "player", "audio"]
    url: str
    alternatives: tuple[str, ...] = ()
    """Its other sources."""
    poster: str = ""
    title: str = ""
    attribute: str = ""
    width: int = 0
    height: int = 0
    path: str = ""


Block = TextBlock | ImageReference | VideoReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page says, in reading order."""

    url: str
    title: str
    language: str
    blocks: tuple[Block, ...]
    base: str
    """What the page's relative addresses are relative to."""
    links: tuple[str, ...]
    """Targets of all links of the page as they are written, each once, also of those around the content."""
    directives: frozenset[str]
    """What `<meta name=robots>` asks for: noindex, noai, noimageai, noimageindex."""
    encoding: str
    encoding_reason: str
    """What decided the encoding: bom, content-type, meta, utf-8 (it fits), detected or fallback."""
    canonical: str = ""
    """The address that the page wants to be known by, or empty."""
    published: str = ""
    """When the page says that it was published, as it is written."""
    licence: str = ""
    """The address of the page's licence (`rel=license`), or empty."""
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    """Media that are no block, counted by reason; `page_cut` counts a page that was too long to be read whole."""
