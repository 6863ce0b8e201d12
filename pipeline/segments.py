"""A page cut into segments, runs of text and images in document order, with what its markup says of each.

A segment of text is what stands between two borders of block elements. Whether it belongs to the content is not
decided here; only what is never shown (scripts, templates, hidden elements) is left out.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import lxml.etree

NEVER_SHOWN = frozenset(
    "script style template head svg math iframe object canvas select option datalist audio video map".split()
)
BLOCKS = frozenset(
    "noscript address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main menu nav ol p pre section summary table tbody td "
    "tfoot th thead tr ul html hgroup button label textarea".split()
)
"""Elements that begin and end a segment."""
TAGS = tuple(
    "nav footer header aside form article main section table td th li dl dt dd figure figcaption blockquote pre p "
    "h1 h2 h3 h4 h5 h6 a button label details ul ol tr address code summary noscript".split()
)
"""Elements that a segment remembers to lie in."""
CLASSES = (
    r"comment|disqus|repl(?:y|ies)\b|discuss",
    r"side-?bar|aside|widget|rail\b",
    r"share|social|follow|facebook|twitter",
    r"relat|recommend|suggest|also|similar|more-|upsell|cross-?sell|carousel|slider",
    r"\bads?\b|\bad-|-ad\b|advert|sponsor|promo|banner|affiliate",
    r"cookie|consent|gdpr|popup|modal|overlay|newsletter|subscri|sign-?up|login|dialog",
    r"nav|menu|breadcrumb|pagination|pager|tabs?\b|toolbar|toc\b|skip",
    r"foot|copyright|legal|colophon|bottom",
    r"head|masthead|\btop|logo|brand",
    r"content|article|entry|post|body|story|main|text|prose|markdown",
    r"author|byline|date|meta|time|publish|info|tag|categor|label|badge",
    r"product|price|item|detail|desc|spec|feature",
    r"message|thread|topic|question|answer|forum|bbcode|quote",
    r"list|grid|results?|cards?|tile|collection|catalog|row",
    r"review|rating|star|testimonial|vote|score",
    r"doc|code|highlight|example|api|section|wiki",
    r"user|avatar|profile|member|signature|rank",
    r"filter|sort|facet|search|option|select|swatch|variant|qty|cart|wishlist|buy",
    r"caption|image|img|photo|gallery|media|figure|thumb",
    r"hidden|collapse|sr-only|visually|screen-reader|print|noprint|mobile|hide\b",
    r"hero|intro|lead|summary|abstract|excerpt|title|headline|heading",
    r"faq|accordion|panel|tab-",
)
"""Kinds of words in `class` and `id`; a segment remembers the kinds of all elements that it lies in."""
ROLES = {
    "navigation": 6, "menu": 6, "menubar": 6, "banner": 8, "contentinfo": 7, "search": 17,
    "complementary": 1, "dialog": 5, "main": 9, "article": 9,
}  # fmt: skip
"""The kind of class that a `role` stands for."""
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
LINE_BREAK = "\0"
"""Stands for `<br>` while a text is collected; `pipeline.markup` lets no NUL through."""
_CLASSES = [re.compile(pattern) for pattern in CLASSES]
_TAG_BIT = {tag: 1 << number for number, tag in enumerate(TAGS)}
CONTAINER_TAGS = (*TAGS, "div")
"""Tags of containers; whatever is not among `TAGS`, a body too, counts as a div."""
CONTAINER_TAG = {tag: 1 << number for number, tag in enumerate(CONTAINER_TAGS)}


@dataclass(slots=True)
class Segments:
    """Columns of equal length, one entry a segment; and columns of block elements, one entry a container."""

    texts: list[str] = field(default_factory=list[str])
    """White space folded; empty for an image."""
    linked: list[int] = field(default_factory=list[int])
    """Characters of the text that lie in links."""
    elements: list[Any] = field(default_factory=list[Any])
    """The `<img>`, or None for text."""
    owners: list[str] = field(default_factory=list[str])
    """Tag of the nearest block element."""
    captions: list[bool] = field(default_factory=list[bool])
    """Whether it lies in a `<figcaption>`."""
    tags: list[int] = field(default_factory=list[int])
    """Bits of `TAGS` that it lies in."""
    classes: list[int] = field(default_factory=list[int])
    """Bits of `CLASSES` that it lies in."""
    containers: list[int] = field(default_factory=list[int])
    """Number of the nearest block element."""
    parents: list[int] = field(default_factory=lambda: [0])
    """Container of each container; the first is its own."""
    starts: list[int] = field(default_factory=lambda: [0])
    """First segment of each container."""
    ends: list[int] = field(default_factory=lambda: [0])
    """First segment after each container."""
    container_tags: list[str] = field(default_factory=lambda: [""])
    container_classes: list[int] = field(default_factory=lambda: [0])

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(slots=True)
class _Place:
    """Where the walk is: what is remembered of the elements around."""

    container: int = 0
    tags: int = 0
    classes: int = 0
    owner: str = ""


class _Walk:
    """One pass over a tree. A class because the pass has state that its steps share."""

    def __init__(self) -> None:
        self.segments = Segments()
        self._place = _Place()
        self._outer: list[_Place | bool] = []  # of each open element: the place outside it, or whether it is a link
        self._words: list[str] = []
        self._linked = 0
        self._links = 0

    def run(self, root: Any) -> Segments:
        walker = lxml.etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        for event, element in walker:
            if event == "start":
                if not self._enter(element):
                    walker.skip_subtree()
                continue
            if event == "end":
                self._leave()
            if element is not root:
                self._read(element.tail)
        self._flush()
        self.segments.ends[0] = len(self.segments)
        return self.segments

    def _enter(self, element: Any) -> bool:
        """Whether the walk goes into `element`."""
        tag, attributes = element.tag, element.attrib
        self._outer.append(False)
        if tag in BLOCKS:
            self._flush()
        if tag in NEVER_SHOWN or (attributes and _is_hidden(attributes, tag)):
            return False
        if tag == "img":
            self._flush()
            self._add("", element)
            return False
        if tag in BLOCKS:
            self._open(tag, _classes_of(attributes) if attributes else 0)
        elif tag == "a":
            self._outer[-1] = True
            self._links += 1
        elif tag == "br":
            self._words.append(LINE_BREAK)
        self._read(element.text)
        return True

    def _leave(self) -> None:
        outer = self._outer.pop()
        if isinstance(outer, _Place):
            self._flush()
            self.segments.ends[self._place.container] = len(self.segments)
            self._place = outer
        elif outer:
            self._links -= 1

    def _open(self, tag: str, classes: int) -> None:
        place, segments = self._place, self.segments
        self._outer[-1] = place
        segments.parents.append(place.container)
        segments.starts.append(len(segments))
        segments.ends.append(0)
        segments.container_tags.append(tag)
        segments.container_classes.append(classes)
        container = len(segments.parents) - 1
        self._place = _Place(container, place.tags | _TAG_BIT.get(tag, 0), place.classes | classes, tag)

    def _read(self, text: str | None) -> None:
        if text:
            self._words.append(text)
            if self._links:
                self._linked += len(text.strip())

    def _flush(self) -> None:
        if self._words:
            text = _folded("".join(self._words))
            self._words.clear()
            if text:
                self._add(text, None)
            self._linked = 0

    def _add(self, text: str, image: Any) -> None:
        segments, place = self.segments, self._place
        segments.texts.append(text)
        segments.linked.append(min(self._linked, len(text)))
        segments.elements.append(image)
        segments.owners.append(place.owner)
        segments.captions.append(bool(place.tags & _TAG_BIT["figcaption"]))
        segments.tags.append(place.tags | (_TAG_BIT["a"] if self._links and image is not None else 0))
        segments.classes.append(place.classes)
        segments.containers.append(place.container)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """Containers that hold the same segments count as one, so that a wrapping element changes nothing."""

    parents: list[int]
    """Of each container, the nearest one around it that holds more; of the outermost, itself."""
    tags: list[int]
    """Bits of `CONTAINER_TAGS`, of the container and those around it that hold the same."""
    classes: list[int]
    """Bits of `CLASSES`, likewise."""


def chains(segments: Segments) -> Chains:
    """The containers of `segments` by what they hold."""
    parents, tags, classes = [0], [CONTAINER_TAG["div"]], list(segments.container_classes)
    for container in range(1, len(segments.parents)):
        around = segments.parents[container]
        tags.append(CONTAINER_TAG.get(segments.container_tags[container], CONTAINER_TAG["div"]))
        same = (segments.starts[container], segments.ends[container]) == (
            segments.starts[around],
            segments.ends[around],
        )
        parents.append(parents[around] if same else around)
        if same:
            tags[container] |= tags[around]
            classes[container] |= classes[around]
    return Chains(parents=parents, tags=tags, classes=classes)


def cut(root: Any) -> Segments:
    """The segments of the page below `root`."""
    return _Walk().run(root)


def _folded(text: str) -> str:
    """White space as a browser shows it, `<br>` as a line's end."""
    if LINE_BREAK not in text:
        return " ".join(text.split())
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split(LINE_BREAK))))


def _is_hidden(attributes: Any, tag: str) -> bool:
    if "hidden" in attributes or ("style" in attributes and HIDDEN.search(attributes["style"])):
        return True
    return attributes.get("aria-hidden") == "true" and tag not in BLOCKS


def _classes_of(attributes: Any) -> int:
    kinds = _kinds_of(f"{attributes.get('class', '')} {attributes.get('id', '')}")
    role = ROLES.get(attributes.get("role", ""))
    return kinds if role is None else kinds | 1 << role


@lru_cache(maxsize=65536)
def _kinds_of(names: str) -> int:
    """Bits of `CLASSES` found in the names; sites repeat theirs endlessly."""
    lower = names.lower()
    return sum(1 << number for number, pattern in enumerate(_CLASSES) if pattern.search(lower))
