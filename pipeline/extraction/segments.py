"""A page cut into segments, runs of text and media in document order, with what its markup says of each.

A segment of text is what stands between two borders of block elements. Whether it belongs to the content is not
decided here; only what is never shown (scripts, templates, hidden elements) is left out.

The tree is written out as XML and read as a list of tags: libxml2 and `re` do that several times faster than Python
can visit elements.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import lxml.etree

from pipeline.extraction.markup import parse
from pipeline.extraction.texts import LINE_BREAK, code_lines, folded, gap
from pipeline.extraction.vocabulary import BLOCKS, INLINE, MEDIA

NEVER_SHOWN = ("head", "title", "script", "style", "template", "svg", "math", "canvas", "select", "datalist", "map")
"""Elements that go before the tree is written out."""
NAVIGATION = ("nav", "footer")
"""Elements that go too: of 849 marked pages they held a third of the segments and 0.6 % of the content's words, most
of these on three pages that are navigation from end to end."""
MOST_SEGMENTS = 50_000
"""A page with more is cut: 50,000 take a few hundred megabytes to judge, and real pages have hundreds."""
LEAST_OUTSIDE = 0.25
"""A page with less of its text than this shown and outside navigation is read with its navigation too."""
LEAST_HIDDEN = 500
"""If it has so many characters then what is hidden is read as well: some pages hide all until a script shows it."""
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
TAG = re.compile(r"<(/?+[^ />]++)([^>]*+)>")
"""A tag of a serialised tree, where no attribute and no text holds a `>`."""
PICTURE_NAMED = re.compile(r'="[^"\s]*/[^"\s]+\.(?:jpe?g|png|webp|avif)(?:[?#][^"\s]*)?"', re.IGNORECASE)
"""An attribute that holds the address of a picture and nothing else."""
MOST_IN_FIGURE = 100
"""So many tags of a figure are searched for media."""
NO_CHARACTER = "&#xFFFD;"
"""What libxml2 writes for a character that XML has no place for."""
DELETE = "\x7f"
"""The one control character that XML has a place for; no page means it."""
STYLE = re.compile(r' style="([^"]*)"')
_WITHIN, _LINK, _LINK_END, _HIDDEN, _SKIP, _MEDIA, _OPEN, _CLOSE, _UNKNOWN, _BREAK = range(10)
"""Kinds of tags. Text goes on over the first four; what hidden elements, media and the like hold is passed by."""
_KINDS = (
    dict.fromkeys(INLINE, _WITHIN)
    | dict.fromkeys((f"/{name}" for name in INLINE), _WITHIN)
    | dict.fromkeys(BLOCKS, _OPEN)
    | dict.fromkeys((f"/{name}" for name in BLOCKS), _CLOSE)
    | dict.fromkeys(MEDIA, _MEDIA)
    | {"a": _LINK, "/a": _LINK_END, "br": _BREAK}
)


@dataclass(slots=True)
class Segments:
    """Columns of equal length, one entry a segment; and columns of block elements, one entry a container."""

    names: list[str]
    """Names of all tags of the page in order, with a slash before those that close."""
    attributes: list[str]
    """What else stands in each tag, as XML; ends in a slash if the tag is the whole element."""
    texts: list[str] = field(default_factory=list[str])
    """White space folded, except in `<pre>`; empty for media."""
    words: list[int] = field(default_factory=list[int])
    """How many words each text has, by white space."""
    linked: list[int] = field(default_factory=list[int])
    """Characters of the text that lie in links; of media, 1 in a link."""
    containers: list[int] = field(default_factory=list[int])
    """Number of the nearest block element."""
    media: list[int] = field(default_factory=list[int])
    """Number of the media's tag, 0 for text."""
    links: list[int] = field(default_factory=list[int])
    """Number of the tag of the link around media, or 0."""
    container_tags: list[int] = field(default_factory=lambda: [0])
    """Number of the container's tag."""
    closing_tags: list[int] = field(default_factory=lambda: [0])
    """Number of the tag that closes the container, 0 where there is none."""
    parents: list[int] = field(default_factory=lambda: [0])
    """Container of each container; the first is its own."""
    starts: list[int] = field(default_factory=lambda: [0])
    """First segment of each container."""
    ends: list[int] = field(default_factory=lambda: [0])
    """First segment after each container."""

    read: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    """Attributes of tags, for those that were asked for: `pipeline.extraction.tags` reads each tag once."""
    gaps: set[int] = field(default_factory=set[int])
    """Segments in front of which navigation was left out."""
    unseen: int = 0
    """Characters of text that hidden elements and media hold."""
    is_cut: bool = False
    """Whether the page has more segments than are read."""

    def __len__(self) -> int:
        return len(self.texts)


def cut(page: bytes | str, root: Any, *, backgrounds: bool = False) -> tuple[Segments, Counter[str]]:
    """The segments of the `page` that was parsed to `root`, and the pictures that went with what was taken out.

    With `backgrounds` an element whose style names a background picture is a medium, in front of what it holds.
    """
    marked = list(root.iter("svg", *NAVIGATION))
    left_out = Counter(inline_svg=sum(element.tag == "svg" for element in marked))
    # Outermost ones alone: what lies in another goes, and is counted, with that.
    around = (*NAVIGATION, *NEVER_SHOWN)
    navigation = [one for one in marked if one.tag != "svg" and next(one.iterancestors(*around), None) is None]
    lxml.etree.strip_elements(root, *NEVER_SHOWN, with_tail=False)
    left_out["navigation"] = sum(1 for element in navigation for _ in element.iter("img"))
    length = sum(map(_text_length, navigation))
    for element in navigation:
        element.clear(keep_tail=True)
    segments = _walk(root, backgrounds)
    shown = sum(map(len, segments.texts))
    length += shown + segments.unseen + len(segments)  # a space between any two
    if shown < LEAST_OUTSIDE * length:
        whole = parse(page)
        lxml.etree.strip_elements(whole, *NEVER_SHOWN, with_tail=False)
        del left_out["navigation"]
        return _walk(whole, backgrounds, everything=length >= LEAST_HIDDEN), left_out
    return segments, left_out


def _walk(root: Any, backgrounds: bool, everything: bool = False) -> Segments:
    parts = TAG.split(lxml.etree.tostring(root, encoding="unicode").replace(DELETE, " "))
    return _Walk(Segments(names=parts[1::3], attributes=parts[2::3])).run(parts[3::3], backgrounds, everything)


class _Walk:
    """One pass over the tags of a page. A class because the pass has state that its steps share."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self._container = 0
        self._words: list[str] = []
        self._linked = 0

    def run(self, texts: list[str], backgrounds: bool, everything: bool) -> Segments:
        """Hot: it sees every tag of a page, so what every tag needs is done in place. Each text follows its tag.

        With `everything` hidden elements are as good as others.
        """
        words, links, link, segments = self._words, 0, 0, self.segments
        tags = iter(zip(range(len(texts)), segments.names, segments.attributes, texts, strict=True))
        for number, name, said, text in tags:
            kind = _KINDS.get(name, _UNKNOWN)
            if said and not everything and ("hidden" in said or "none" in said) and _is_hidden(name, said):
                kind = _SKIP if kind == _OPEN else _HIDDEN
            if kind > _HIDDEN and words:
                self._break(kind)
            if backgrounds and "url(" in said and not _HIDDEN <= kind <= _MEDIA:
                self._flush()
                self._add("", bool(links), number, links and link)
            if kind == _WITHIN:
                pass
            elif kind == _CLOSE:
                self._close(number)
            elif kind == _LINK_END:
                links -= 1
            elif said[-1:] == "/" and kind != _MEDIA and not (name == "figure" and PICTURE_NAMED.search(said)):
                if name in NAVIGATION:
                    segments.gaps.add(len(segments.texts))
            else:
                if len(segments.texts) >= MOST_SEGMENTS:
                    segments.is_cut = True
                    break
                if kind == _MEDIA or said[-1:] == "/":
                    self._add("", bool(links), number, links and link)
                elif kind == _OPEN:
                    self._open(number)
                    if name == "figure" and _is_picture(segments, number):
                        self._add("", bool(links), number, links and link)
                elif kind == _LINK:
                    links, link = links + 1, number
                # libxml2 does not know that an <embed> is empty: what follows lies in it.
                if _HIDDEN <= kind <= _MEDIA and said[-1:] != "/" and name != "embed":
                    text = self._pass_by(text, tags)
            if text and (words or not text.isspace()):
                if words and (kind == _LINK or text[0].isupper() or text[0].isdigit()) and not self._in_code():
                    words.append(gap(segments.names, texts, number, words[-1]))
                words.append(text)
                if links:
                    self._linked += len(text.strip())
        self._flush()
        while self._container:
            self._close(0)
        segments.ends[0] = len(segments)
        return segments

    def _break(self, kind: int) -> None:
        """What a tag does to the text before it: it ends, a line of it ends, or an unknown element parts words."""
        if kind in (_BREAK, _UNKNOWN):
            self._words.append(LINE_BREAK if kind == _BREAK else " ")
        else:
            self._flush()

    def _open(self, number: int) -> None:
        segments, around = self.segments, self._container
        self._container = len(segments.parents)
        segments.parents.append(around)
        segments.starts.append(len(segments.texts))
        segments.ends.append(0)
        segments.container_tags.append(number)
        segments.closing_tags.append(0)

    def _close(self, number: int) -> None:
        """The end of a container. One that holds nothing is forgotten: it is the last."""
        segments, container, count = self.segments, self._container, len(self.segments.texts)
        self._container = segments.parents[container]
        if segments.starts[container] < count:
            segments.ends[container] = count
            segments.closing_tags[container] = number
        else:
            segments.parents.pop()
            segments.starts.pop()
            segments.ends.pop()
            segments.container_tags.pop()
            segments.closing_tags.pop()

    def _flush(self) -> None:
        raw = "".join(self._words)
        self._words.clear()
        if "&" in raw:
            raw = unescape(raw.replace(NO_CHARACTER, " "))
        text, words = code_lines(raw) if self._in_code() else folded(raw)
        if text:
            self._add(text, min(self._linked, len(text)), words=words)
        self._linked = 0

    def _pass_by(self, text: str, tags: Iterator[tuple[int, str, str, str]]) -> str:
        """The text behind the element that was just opened, before `text`; `tags` go on from there."""
        unseen, depth = [text], 1
        for _, name, said, text in tags:
            if name[0] == "/":
                depth -= 1
            elif said[-1:] != "/":
                depth += 1
            if not depth:
                break
            unseen.append(text)
        self.segments.unseen += len(folded(unescape("".join(unseen)))[0])
        return text

    def _in_code(self) -> bool:
        return self.segments.names[self.segments.container_tags[self._container]] == "pre"

    def _add(self, text: str, linked: int, tag: int = 0, link: int = 0, words: int = 0) -> None:
        segments = self.segments
        segments.texts.append(text)
        segments.words.append(words)
        segments.linked.append(linked)
        segments.containers.append(self._container)
        segments.media.append(tag)
        segments.links.append(link)


def _text_length(element: Any) -> int:
    """Characters of an element's text with white space folded; XPath counts them at a third of the speed."""
    return len(folded(lxml.etree.tostring(element, encoding="unicode", method="text", with_tail=False))[0])


def _is_picture(segments: Segments, number: int) -> bool:
    """Whether a `<figure>` names a picture in an attribute, and a script is to make the `<img>` in it."""
    if not PICTURE_NAMED.search(segments.attributes[number]):
        return False
    inside = segments.names[number : number + MOST_IN_FIGURE]
    return "/figure" in inside and MEDIA.keys().isdisjoint(inside[: inside.index("/figure")])


def _is_hidden(name: str, said: str) -> bool:
    # React hides what it streams, as S:0, S:1 and so on, until a script moves it into its place.
    if (" hidden=" in said and ' id="S:' not in said) or any(map(HIDDEN.search, STYLE.findall(said))):
        return True
    return ' aria-hidden="true"' in said and name not in BLOCKS and name not in MEDIA
