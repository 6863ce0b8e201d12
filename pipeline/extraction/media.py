"""From the tag of an image, a video or a player to a reference, with everything that the page says of it."""

import re
from collections.abc import Mapping
from typing import Literal, cast

from pipeline.addresses import canonical
from pipeline.extraction.candidates import background_images, data_image, image_candidates, is_placeholder
from pipeline.extraction.containers import Containers, lies_in, nearest
from pipeline.extraction.segments import Segments
from pipeline.extraction.tags import attributes_of, sources_of
from pipeline.extraction.vocabulary import MEDIA
from pipeline.page import ImageReference, VideoReference

LEAST_DATA, MOST_DATA = 1_000, 2_000_000
"""Bytes of a picture that stands in the page as `data:`; less is a placeholder or an icon."""
MOST_ADDRESSES = 12
IMAGE_FILE = re.compile(r"\.(?:jpe?g|png|webp|gif|avif|tiff?|bmp)$", re.IGNORECASE)
PLAYERS = re.compile(
    r"^https?://(?:[\w-]+\.)*(?:youtube(?:-nocookie)?\.com/(?:embed|v|shorts|live)/|youtu\.be/|player\.vimeo\.com/video/"
    r"|vimeo\.com/(?:moogaloop|\d)|dailymotion\.com/embed|dai\.ly/|player\.twitch\.tv/|clips\.twitch\.tv/"
    r"|fast\.wistia\.(?:net|com)/embed|players?\.brightcove\.net/|content\.jwplatform\.com/|cdn\.jwplayer\.com/"
    r"|players?\.bilibili\.com/|rutube\.ru/play/embed|player\.youku\.com/|facebook\.com/plugins/video"
    r"|streamable\.com/[eos]/|ted\.com/talks|embed\.ted\.com/|videopress\.com/(?:embed|v)/|archive\.org/embed/"
    r"|(?:media|video)\.ccc\.de/|loom\.com/embed/|rumble\.com/embed/|odysee\.com/\$/embed/|tiktok\.com/(?:embed|player)/"
    r"|w\.soundcloud\.com/player|open\.spotify\.com/embed|bandcamp\.com/EmbeddedPlayer|embed\.podcasts\.apple\.com/)"
    r"|^https?://[^/]+/videos/embed/",
    re.IGNORECASE,
)
"""Addresses of frames that play a video or a sound; the last is PeerTube's, on any host."""
LICENCES = ("data-license", "data-licence", "data-copyright", "data-credit", "data-attribution")
"""Attributes in which sites pass on the IPTC fields of a picture's rights."""
RIGHTS = re.compile(r' (?:rel="[^"]*\blicense\b[^"]*"|itemprop="[^"]*\blicense\b[^"]*")', re.IGNORECASE)
MOST_TAGS = 500
"""How far into its figure the licence of a picture is looked for: a figure may hold all pictures of a page."""
TRACKER_SIDE = 3
ICON_SIDE = 32
"""A medium left out that declares no more pixels than these is counted as a tracker or an icon."""


def find_medium(
    segments: Segments, containers: Containers, number: int, base: str, licences: Mapping[str, str]
) -> ImageReference | VideoReference | None:
    """The medium of a segment; None if it is a tracker, or no address of it can be asked for.

    `licences` holds the licences of pictures that JSON-LD gives, by address.
    """
    tag = segments.media[number]
    kind = MEDIA.get(segments.names[tag], "image")
    if _is_tracker(segments, tag):
        return None
    return (
        _image(segments, containers, number, base, licences) if kind == "image" else _video(segments, tag, kind, base)
    )


def _image(
    segments: Segments, containers: Containers, number: int, base: str, licences: Mapping[str, str]
) -> ImageReference | None:
    tag = segments.media[number]
    attributes = attributes_of(segments, tag)
    if segments.names[tag] in MEDIA or segments.names[tag] == "figure":
        named: list[tuple[str, str]] = [*image_candidates(attributes, sources_of(segments, tag))]
    else:
        named = [(address, "style") for address in background_images(attributes.get("style", ""))]
    named = named[: MOST_ADDRESSES - 1]
    if link := segments.links[number]:
        larger = attributes_of(segments, link).get("href", "")
        named += [(larger, "a href")] if IMAGE_FILE.search(larger.partition("?")[0]) else []
    found: dict[str, str] = {}
    for address, attribute in named:
        absolute = _address(address, base)
        if absolute:
            found.setdefault(absolute, attribute)
    if not found:
        return None
    url, *alternatives = found
    return ImageReference(
        url=url,
        alternatives=tuple(alternatives),
        alt=_folded(attributes.get("alt", "")),
        title=_folded(attributes.get("title", "")),
        attribute=found[url],
        width=pixels(attributes.get("width", "")),
        height=pixels(attributes.get("height", "")),
        licence=_licence(segments, containers, number, attributes, base)
        or next((licences[one] for one in found if one in licences), ""),
    )


def _address(address: str, base: str) -> str | None:
    """Absolute and http(s); or a picture of some size that stands in the page itself."""
    if address.startswith("data:"):
        held = data_image(address, MOST_DATA) if len(address) > LEAST_DATA else None
        return address if held and len(held[1]) >= LEAST_DATA else None
    return None if is_placeholder(address) else canonical(address, base)


def _absolute(address: str, base: str) -> str | None:
    """None for an empty address too, which would be that of the page."""
    return canonical(address, base) if address.strip() else None


def _licence(segments: Segments, containers: Containers, number: int, attributes: Mapping[str, str], base: str) -> str:
    """What the picture's attributes, or a link in its figure, say of its licence."""
    said = next((attributes[name] for name in LICENCES if attributes.get(name)), "")
    if said or not lies_in(segments, containers, number, "figure"):
        return said
    start = segments.container_tags[nearest(segments, number, ("figure",))]
    for tag in range(start, min(start + MOST_TAGS, len(segments.names))):
        if segments.names[tag] == "/figure":
            break
        if RIGHTS.search(segments.attributes[tag]):
            rights = attributes_of(segments, tag)
            return _absolute(rights.get("href", ""), base) or rights.get("content", "")
    return ""


def _video(segments: Segments, tag: int, kind: str, base: str) -> VideoReference | None:
    attributes = attributes_of(segments, tag)
    named = [(attributes.get(name, ""), name) for name in ("src", "data-src", "data-lazy-src")]
    named += [(source.get("src", ""), "source src") for source in sources_of(segments, tag)]
    if identifier := attributes.get("videoid") or attributes.get("data-videoid"):
        named.append((f"https://www.youtube.com/embed/{identifier}", "videoid"))
    found: dict[str, str] = {}
    for address, attribute in named:
        absolute = _absolute(address, base)
        if absolute and (kind != "player" or PLAYERS.search(absolute)):
            found.setdefault(absolute, attribute)
    if not found:
        return None
    url, *alternatives = found
    return VideoReference(
        kind=cast(Literal["video", "player", "audio"], kind),
        url=url,
        alternatives=tuple(alternatives),
        poster=_absolute(attributes.get("poster", ""), base) or "",
        title=_folded(attributes.get("title", "")),
        attribute=found[url],
        width=pixels(attributes.get("width", "")),
        height=pixels(attributes.get("height", "")),
    )


def reason_to_leave_out(segments: Segments, tag: int, *, chosen: bool) -> str:
    """Why a medium is no block: it is a tracker or an icon, names nothing to fetch, or lies outside the content."""
    if _is_tracker(segments, tag):
        return "tracker"
    if chosen:
        return "no_address" if MEDIA.get(segments.names[tag], "image") == "image" else "no_player"
    return "icon" if 0 < _longest_side(attributes_of(segments, tag)) <= ICON_SIDE else "outside_content"


def _is_tracker(segments: Segments, tag: int) -> bool:
    """Whether an `<img>` is a point that reports who reads the page, and not one that waits for a picture."""
    if segments.names[tag] != "img":
        return False
    attributes = attributes_of(segments, tag)
    is_point = 0 < _longest_side(attributes) <= TRACKER_SIDE
    return is_point and not any(name.startswith("data-") for name in attributes)


def _longest_side(attributes: Mapping[str, str]) -> int:
    """In declared pixels; 0 where none are declared."""
    return max(pixels(attributes.get("width", "")), pixels(attributes.get("height", "")))


def pixels(length: str) -> int:
    """A declared width or height; 0 for what is no number of pixels."""
    if not length:
        return 0
    digits = length.strip().removesuffix("px")
    return int(digits) if digits.isdecimal() and len(digits) < 6 else 0


def _folded(text: str) -> str:
    return " ".join(text.split())
