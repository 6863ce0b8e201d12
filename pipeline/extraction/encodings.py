"""From the bytes of a page to its text: which encoding they are in, by what is declared and by what fits."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.extraction.charsets import CODECS, LATIN_CHARSETS, charset_of, likelihoods, sample_of

__all__ = ["MOST_BYTES", "Decoded", "Reason", "decode"]

MOST_BYTES = 10_000_000
"""A longer page is cut here."""
PIECE = 16_384
"""Bytes that are looked at at once for what is no UTF-8."""
BEGINNING, HEAD_BYTES = 2_048, 65_536
"""How far into the page a declaration is looked for."""
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32le",
    codecs.BOM_UTF32_BE: "utf-32be",
    codecs.BOM_UTF16_LE: "utf-16le",
    codecs.BOM_UTF16_BE: "utf-16be",
}
"""Byte order marks; that of UTF-32 comes first, since it begins with that of UTF-16."""
LABEL = r"charset\s*+=\s*+[\"']?\s*+([\w.:+-]{1,40})"
IN_HEADER = re.compile(LABEL, re.IGNORECASE | re.ASCII)
IN_XML = re.compile(rb"\s*<\?xml\b[^<>]{0,200}?\bencoding\s*=\s*[\"']([\w.:+-]{1,40})", re.IGNORECASE)
IN_META = re.compile(
    rb"<(?:!--(?:[^-]++|-(?!->))*+|(?:script|style)\b(?:[^<]++|<(?!/(?:script|style)))*+|meta\b[^<>]*?\b"
    + LABEL.encode()
    + rb")",
    re.IGNORECASE,
)
"""The beginning of a comment or of code, where nothing is declared, or a declaration."""
FITTING = 2
"""UTF-8 with this many times as many characters as errors is damaged UTF-8; other charsets have far fewer by chance."""
MARGIN = 0.75
"""How much less likely than the likeliest charset a declared one may be, in nats for each byte outside ASCII."""
NO_TEXT = -7.0
"""Bytes that are less likely than this in every charset are no text, in nats likewise; letters have -2 to -5."""
ASCII, NOT_ASCII = bytes(range(128)), bytes(range(128, 256))
C1 = "pipeline.extraction.encodings.c1"
"""Error handler that reads the bytes which windows-1252 and its kin leave open as browsers do."""

Reason = Literal["bom", "content-type", "meta", "utf-8", "detected", "fallback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The text of a page, and how it was read."""

    utf_8: bytes
    """The page in UTF-8; most are written in it."""
    encoding: str
    """Its name in the WHATWG standard, in lower case, or "utf-32le" or "utf-32be", which browsers do not know."""
    reason: Reason
    """What decided: the byte order mark, one of the declarations, that UTF-8 fits, detection, or nothing at all."""

    @property
    def text(self) -> str:
        return self.utf_8.decode("utf-8")


def decode(html: bytes, content_type: str | None) -> Decoded:
    """The text of the page; characters that do not fit become U+FFFD. Never raises, whatever the bytes are.

    A byte order mark decides, then UTF-8 where it fits, whatever is declared: other text is not valid UTF-8 by chance.
    Else the declaration of Content-Type decides, then that of the page, but neither against the letters themselves.
    """
    html = html[:MOST_BYTES]
    for mark, encoding in MARKS.items():
        if html.startswith(mark):
            return Decoded(utf_8=_in_utf_8(html[len(mark) :], encoding), encoding=encoding, reason="bom")
    if wide := _wide(html[:4096]):
        return Decoded(utf_8=_in_utf_8(html, wide), encoding=wide, reason="detected")
    if html.isascii():
        return _seven_bits(html, content_type)
    if not _is_utf_8(html):
        return _damaged_or_legacy(html, content_type)
    return Decoded(utf_8=html, encoding="utf-8", reason=_reason_for_utf_8(html, content_type))


def _is_utf_8(html: bytes) -> bool:
    """By pieces that stay in a processor's cache: half the time of decoding the page whole."""
    view, place = memoryview(html), 0
    try:
        while place < len(html):
            end = place + PIECE
            place += codecs.utf_8_decode(view[place:end], "strict", end >= len(html))[1]
    except UnicodeDecodeError:
        return False
    return True


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, by where the zeros of its ASCII characters lie."""
    if head.count(0) * 8 < len(head) or len(head) < 4:
        return None
    zeros = tuple(place for place in range(4) if head[place::4].count(0) * 4 > 0.2 * len(head))
    patterns: dict[tuple[int, ...], str] = {
        (1, 2, 3): "utf-32le",
        (0, 1, 2): "utf-32be",
        (1, 3): "utf-16le",
        (0, 2): "utf-16be",
    }
    return patterns.get(zeros)


def _seven_bits(html: bytes, content_type: str | None) -> Decoded:
    """A page of ASCII is the same text in every charset but that of Japanese mail, which changes sets by escapes."""
    undeclared: tuple[str, Reason] = ("utf-8", "utf-8")
    encoding, reason = next(_declared(html, content_type), undeclared)
    if b"\x1b$" not in html:
        return Decoded(utf_8=html, encoding=encoding, reason=reason)
    if encoding != "iso-2022-jp":
        encoding, reason = "iso-2022-jp", "detected"
    return Decoded(utf_8=_read(html, encoding), encoding=encoding, reason=reason)


def _damaged_or_legacy(html: bytes, content_type: str | None) -> Decoded:
    sample = sample_of(html)
    if _nearly_utf_8(sample):
        reason = _reason_for_utf_8(html, content_type)
        return Decoded(utf_8=_in_utf_8(html, "utf-8"), encoding="utf-8", reason=reason)
    encoding, reason = _legacy(sample, _declared(html, content_type))
    return Decoded(utf_8=_read(html, encoding), encoding=encoding, reason=reason)


def _legacy(sample: bytes, declared: Iterator[tuple[str, Reason]]) -> tuple[str, Reason]:
    """The first declared charset in which the sample is about as likely as in any, else the likeliest one.

    Charsets of Latin letters differ in few of them, so that one is believed where any of them would do.
    """
    scores = likelihoods(sample)
    likeliest = max(scores, key=scores.__getitem__)
    size = len(sample.translate(None, ASCII))
    for encoding, reason in declared:
        kin = LATIN_CHARSETS if encoding in LATIN_CHARSETS else {encoding}
        score = max((scores[charset] for charset in kin & scores.keys()), default=scores[likeliest])
        if encoding in CODECS and score >= scores[likeliest] - MARGIN * size:
            return encoding, reason
    if scores[likeliest] < NO_TEXT * size:
        return "windows-1252", "fallback"
    return likeliest, "detected"


def _nearly_utf_8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return len(text) - len(sample.translate(None, NOT_ASCII)) - wrong >= FITTING * wrong


def _declared(html: bytes, content_type: str | None) -> Iterator[tuple[str, Reason]]:
    """The encodings that are declared and known, with where, that of the header first."""
    if found := IN_HEADER.search(content_type or ""):
        yield from _known(found.group(1), "content-type")
    head = html[:HEAD_BYTES]
    for part in (head[:BEGINNING], head):
        if b"charset" not in part.lower():
            continue
        for found in IN_META.finditer(part):
            if found.group(1) and (found.end() < len(part) or part == head):
                yield from _known(found.group(1).decode("ascii"), "meta")
                return
    if found := IN_XML.match(head):
        yield from _known(found.group(1).decode("ascii"), "meta")


def _known(label: str, reason: Reason) -> Iterator[tuple[str, Reason]]:
    if charset := charset_of(label):
        yield charset, reason


def _reason_for_utf_8(html: bytes, content_type: str | None) -> Reason:
    for encoding, reason in _declared(html, content_type):
        if encoding == "utf-8":
            return reason
    return "utf-8"


def _read(html: bytes, charset: str) -> bytes:
    return _in_utf_8(html, CODECS[charset][0], C1 if charset.startswith("windows-") else "replace")


def _in_utf_8(html: bytes, codec: str, errors: str = "replace") -> bytes:
    return html.decode(codec, errors).encode("utf-8", "replace")


def _c1(error: UnicodeError) -> tuple[str, int]:
    """A byte from 0x80 to 0x9F as the control character of that number, others as U+FFFD."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start]
    return chr(byte) if byte < 0xA0 else "\ufffd", error.start + 1


codecs.register_error(C1, _c1)
