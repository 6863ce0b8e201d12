"""Every way in which the attributes of an element name a picture: plain, by size or type, for lazy loading, in CSS."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

MOST = 32
"""So many addresses of one element are kept, the best."""
LONGEST = 65_536
"""Attributes of more characters are not searched; a `data:` address may be longer, for it is passed on unread."""
MOST_JSON = 256
"""So many values of a JSON attribute are looked into."""
NARROW = 100
"""A picture that a list calls narrower than this, in pixels, is a thumbnail or stands in for a larger one."""

LAZY = {
    name: preference
    for preference, name in enumerate(
        """data-src data-original data-lazy-src data-lazy data-lazyload data-original-src data-hi-res-src data-old-hires
        data-orig-file data-full data-full-src data-full-url data-large-file data-large_image data-image data-img
        data-image-src data-a-dynamic-image data-echo data-cfsrc data-defer-src data-delayed-url""".split()
    )
}
"""Attributes in which scripts for lazy loading and zooming keep the address of the full picture, best first."""
FULLER = re.compile(r"src|orig|full|large|big|hi-?res|zoom|lazy|retina|2x")
LESSER = re.compile(
    r"thumb|small|low|tiny|blur|lqip|old-?src|placeholder|hover|rollover|mouseover|fallback|error|default"
)
SPOKEN = re.compile(r"^on|title|name|alt|caption|desc|label")
"""What the names of other attributes tell: that they hold the full picture, another one, or words or a script."""
SILENT = frozenset(
    """alt title class id style width height sizes loading decoding fetchpriority type media name role border align
    itemprop usemap crossorigin referrerpolicy tabindex data-sizes data-widths""".split()
)
"""Attributes that name no picture, even where their text ends in `.jpg`."""

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".apng", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff")
UNDECODED = (".svg", ".svgz", ".jxl", ".heic", ".heif", ".jp2", ".jxr", ".ico")
TYPES = frozenset("jpeg jpg pjpeg png x-png apng webp gif avif bmp x-ms-bmp tiff".split())
"""Media types under `image/` that pipeline.images decodes."""

STAND_INS = frozenset("1px spacer lazyload".split())
"""Words that mark a placeholder wherever they stand in the name of a file."""
EMPTY = frozenset("1x1 blank pixel transparent trans loading loader lazy empty clear dot dummy px spinner".split())
"""Words that mark one in the name of a GIF or beside `FILLERS` alone: `white-pixel.png`, but not `pixel-9.jpg`."""
FILLERS = frozenset("white grey gray black ajax bg img image icon gif png jpg jpeg webp svg".split())
SUSPECT = re.compile("|".join(sorted(STAND_INS | EMPTY)))
WORD = re.compile(r"[^-_. +]+")
TEMPLATE = re.compile(r"\{\{|\$\{|\{[a-z_]\w*\}|%7B%7B|%24%7B|%7B[a-z_]\w*%7D|<%", re.IGNORECASE)

SRCSET = re.compile(
    r"""([^\s,]\S*+)
    (?: (?<=,)
      | \s*+ (?: (0*+[1-9][0-9]*+)w (?:\s++0*+[1-9][0-9]*+h)?
               | 0*+[1-9][0-9]*+h \s++ (0*+[1-9][0-9]*+)w
               | ((?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?)x )? \s*+ (?=,|\Z)
      | ((?:[^,(]++|\([^)]*+\)?)++) )""",
    re.VERBOSE | re.ASCII,
)
"""An address of the HTML standard's "parse a srcset attribute", its width or density, and malformed descriptors."""
CSS = re.compile(
    r"""/\*(?:[^*]++|\*(?!/))*+(?:\*/)?
      | \burl\(\s*+(?: (?P<quote>["'])(?P<quoted>(?:[^"'\\]++|\\.|(?!(?P=quote)).)*+)(?P=quote)?[^)]*+
                     | (?P<bare>(?:[^\s"'()\\]++|\\(?:[0-9a-f]{1,6}+\s?+|.))*+)\s*+(?=\)|\Z) | (?:[^)\\]++|\\.)*+ )\)?
      | "(?:[^"\\]++|\\.)*+"? | '(?:[^'\\]++|\\.)*+'?
      | (?<![-\w])(?P<property>[-\w]++)\s*+:
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
CSS_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})(?:\r\n|\s)?|(\r\n|.))", re.DOTALL)


class Rank(IntEnum):
    """How an address is named, from the most to the least likely to give the full picture."""

    WIDE = 0
    """In a list, by a width of `NARROW` or more or a density above 1: the largest first."""
    LAZY = 1
    """In an attribute of `LAZY`, or of a name that promises the full picture."""
    LISTED = 2
    """In `srcset`, without a size."""
    PLAIN = 3
    """In `src`."""
    OTHER = 4
    """In any other attribute; or as a thumbnail; or for narrow windows, dark pages or paper only."""
    UNDECODED = 5
    """In a format that pipeline.images does not decode."""
    STAND_IN = 6
    """As a placeholder."""


class Candidate(NamedTuple):
    """An address that may be the picture's."""

    address: str
    """As the page writes it, without whitespace around it; a `{width}` is filled in."""
    attribute: str
    """Where it stands, such as `srcset`, `data-src` or `source srcset`."""


Named = tuple[Rank, float, str]
"""A rank, a weight by which equal ranks are ordered, the least first, and an address."""


def image_candidates(image: Mapping[str, str], sources: Sequence[Mapping[str, str]] = ()) -> list[Candidate]:
    """The addresses in the attributes of an `<img>` and of its picture's `<source>`s: the best first, each once.

    They are ordered by `Rank`, within a rank by size or by the attribute's name, and then as they stand.
    """
    found: list[tuple[Rank, Rank, float, int, str, str]] = []
    for element, prefix in ((image, ""), *((source, "source ") for source in sources)):
        limit = _rank_of_source(element) if prefix else Rank.WIDE
        for name, value in element.items():
            if name in SILENT:
                continue
            for rank, weight, address in _named(name, value):
                if "width" in address and "data-widths" in element:
                    address = _filled(address, element["data-widths"])
                worst = max(rank, limit, _rank_of_address(address))
                found.append((worst, rank, weight, len(found), address, prefix + name))
    found.sort()
    attributes: dict[str, str] = {}
    for _, _, _, _, address, attribute in found:
        attributes.setdefault(address, attribute)
    return [Candidate(address, name) for address, name in list(attributes.items())[:MOST] if address]


def is_placeholder(address: str) -> bool:
    """Whether `address` only holds a picture's place: inline data, a script, a template, or a telling name."""
    return _rank_of_address(address.strip()) is Rank.STAND_IN


def data_image(address: str, most_bytes: int) -> tuple[str, bytes] | None:
    """The media type and the bytes of a `data:image/` address.

    None for any other address, for data that cannot be decoded, and for more than `most_bytes` bytes or than the
    `4 * most_bytes` characters that these take at most (in base64, percent-encoded).
    """
    comma = address.find(",", 0, 256)
    scheme, _, header = address[: max(comma, 0)].lstrip().lower().partition(":")
    media_type, *parameters = (part.strip() for part in header.split(";"))
    if scheme != "data" or not media_type.startswith("image/") or len(address) - comma > 4 * most_bytes + 16:
        return None
    try:
        data = unquote_to_bytes(address[comma + 1 :].partition("#")[0].strip())
        if parameters[-1:] == ["base64"]:
            digits = data.translate(None, b"\t\n\f\r ").rstrip(b"=")
            data = base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except ValueError:
        # No base64, or half of a surrogate pair.
        return None
    return (media_type, data) if 0 < len(data) <= most_bytes else None


def background_images(style: str) -> list[str]:
    """The addresses in `url(...)` of the backgrounds that a `style` attribute declares, in order, each once."""
    if "url(" not in style.lower():
        return []
    found: dict[str, None] = {}
    declared = ""
    for token in CSS.finditer(style):
        if token["end"]:
            declared = ""
        elif token["property"]:
            declared = declared or token["property"].lower()
        elif declared in ("background", "background-image"):
            address = CSS_ESCAPE.sub(_css_character, token["quoted"] or token["bare"] or "")
            found[address.strip()] = None
    return [address for address in found if address][:MOST]


def _css_character(escape: re.Match[str]) -> str:
    if not escape[1]:
        return escape[2].strip("\n\f\r")
    code = int(escape[1], 16)
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else "\ufffd"


def _rank_of_source(source: Mapping[str, str]) -> Rank:
    """The best rank that a `<source>` can give, by its type and by the windows that it is meant for."""
    kind, _, subtype = source.get("type", "").partition(";")[0].strip().lower().partition("/")
    if kind and (kind != "image" or subtype not in TYPES):
        return Rank.UNDECODED
    media = source.get("media", "")
    narrow = "max-width" in media and "min-width" not in media
    return Rank.OTHER if narrow or "dark" in media or "print" in media else Rank.WIDE


@lru_cache(maxsize=64)
def _rank_of_address(address: str) -> Rank:
    """The best rank that an address can have, by its spelling; whoever takes a candidate asks once more."""
    if not address or address[:11].lower().startswith(("data:", "about:", "blob:", "javascript:", "#")):
        return Rank.STAND_IN
    if ("{" in address or "%" in address) and TEMPLATE.search(address):
        return Rank.STAND_IN
    path = _path(address)
    if "." not in address and "/" not in address:
        return Rank.STAND_IN
    if "placehold" in path or ",blur_" in path or "q_lqip," in path or _is_stand_in(path.rpartition("/")[2]):
        return Rank.STAND_IN
    return Rank.UNDECODED if path.endswith(UNDECODED) else Rank.WIDE


def _is_stand_in(file: str) -> bool:
    # Most names of files are cleared by this one search.
    if not SUSPECT.search(file):
        return False
    words = set(WORD.findall(file))
    only = all(word in EMPTY or word in FILLERS or re.fullmatch(r"[0-9]+x[0-9]+", word) for word in words)
    return bool(words & STAND_INS) or (bool(words & EMPTY) and (only or file.endswith(".gif")))


def _path(address: str) -> str:
    return address.partition("?")[0].partition("#")[0].lower()


def _named(name: str, value: str) -> Iterable[Named]:
    """The addresses in one attribute."""
    value = value.strip()
    if name == "src":
        return ((Rank.PLAIN, 0, value),)
    if name in LAZY and value[:5].lower() == "data:":
        return ((Rank.LAZY, LAZY[name], value),)
    if len(value) > LONGEST or SPOKEN.search(name):
        return ()
    if name.endswith(("srcset", "src-set")):
        return _listed(_in_srcset(value), Rank.LISTED if name == "srcset" else _rank_of_name(name))
    if value[:1] in ("{", "[") and value[:2] != "{{":
        return _listed(_in_json(value), _rank_of_name(name))
    if name in LAZY:
        return ((Rank.LAZY, LAZY[name], value),) if "/" in value or "." in value else ()
    return _guessed(name, value)


def _guessed(name: str, value: str) -> Iterable[Named]:
    """The addresses in an attribute of unknown use, if its value looks like some."""
    if "." not in value:
        return ()
    rank = _rank_of_name(name)
    if re.search(r"\s", value):
        listed = list(_in_srcset(value))
        return _listed(listed, rank) if all("/" in address and _is_image(address) for address, _ in listed) else ()
    return ((rank, len(LAZY), value),) if _is_image(value) and ("/" in value or rank is Rank.LAZY) else ()


def _rank_of_name(name: str) -> Rank:
    return Rank.LAZY if name in LAZY or (FULLER.search(name) and not LESSER.search(name)) else Rank.OTHER


def _listed(sized: Iterable[tuple[str, float]], unsized: Rank) -> list[Named]:
    """The addresses of a list with their sizes, which are 1 where nothing is said and 0 for a thumbnail."""
    wide = Rank.OTHER if unsized is Rank.OTHER else Rank.WIDE
    return [
        (wide, -size, address) if size > 1 else (unsized if size else Rank.OTHER, len(LAZY) - size, address)
        for address, size in sized
    ]


def _is_image(address: str) -> bool:
    return _path(address).endswith(EXTENSIONS)


def _in_srcset(srcset: str) -> Iterator[tuple[str, float]]:
    """The addresses of a `srcset`, and their widths in pixels or else densities, which count as no more than 10."""
    for address, width, second_width, density, malformed in SRCSET.findall(srcset):
        if pixels := width or second_width:
            yield address, _width(float(pixels))
        elif not malformed:
            yield address.rstrip(","), min(float(density or 1), 10.0)


def _in_json(text: str) -> Iterator[tuple[str, float]]:
    """The addresses and widths in JSON such as `{"src": address, "width": width}` or `{address: [width, height]}`."""
    try:
        values: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    for value in values:
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            if isinstance(child, str) and (_is_image(child) or (key in ("src", "url") and "/" in child)):
                yield child.strip(), _width(value.get("width")) if isinstance(value, dict) else 1
            elif isinstance(child, list) and child and isinstance(key, str) and "/" in key:
                yield key.strip(), _width(child[0])
            elif len(values) < MOST_JSON:
                values.append(child)


def _width(width: Any) -> float:
    """A width as the size of a list's candidate: 1 for what is no number, 0 for that of a thumbnail."""
    if not isinstance(width, int | float):
        return 1
    return width if width >= NARROW else 0


def _filled(address: str, widths: str) -> str:
    """The template `address` with the widest of `widths` for its `{width}`, as Shopify and the BBC write them."""
    numbers = re.findall(r"[0-9]{1,5}", widths[:1024])
    return re.sub(r"\{width\}|%7[Bb]width%7[Dd]", max(numbers, key=int), address) if numbers else address
