"""Measures of an image's address and alt text: what belongs to a page's layout is often called so.

OBELICS (build_obelics/04_merge_web_docs_with_images.py) and MMC4 (section 3 of its paper) look for letters anywhere in
an address, so that `silicon` holds an `icon` and `essex` is explicit; `layout_words` and `alt_layout_words` count
whole words.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from pipeline.rules.bounds import Measure

LAYOUT = ("logo", "button", "icon", "plugin", "widget")
"""The words of OBELICS and MMC4 alike."""
LAYOUT_WORDS = frozenset(LAYOUT) | {f"{word}s" for word in LAYOUT} | {"favicon"}
EXPLICIT = ("porn", "xxx", "sex")
"""The other words of OBELICS."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""A word of a file's name: `siteLogo`, `site-logo2` and `SITE_LOGO` have the word logo."""
PNG_OR_JPEG = ("png", "jpg", "jpeg")

NAME_MEASURES: Mapping[str, Measure] = {
    "layout_letters": Measure(
        what="of logo, button, icon, plugin, widget, those anywhere in the address (OBELICS, MMC4)"
    ),
    "layout_words": Measure(what="words of the address's file name that name layout, such as logo or icons"),
    "alt_layout_words": Measure(what="words of the alt text that name layout; photographs of buttons have them too"),
    "explicit_letters": Measure(what="of porn, xxx, sex, those anywhere in the address (OBELICS)"),
    "gif": Measure(what="1 if the address is that of a GIF, which may move", most=1),
    "png_or_jpeg": Measure(what="1 if the address ends in png, jpg or jpeg (MMC4)", most=1),
}


def measure_name(url: str, alt: str) -> dict[str, float]:
    """The measures of `NAME_MEASURES`. Case does not count, as it does for OBELICS: it would keep `Logo.png`."""
    address, name = url.casefold(), file_name(url)
    kind = file_kind(url, name)
    return {
        "layout_letters": float(sum(word in address for word in LAYOUT)),
        "layout_words": float(layout_words(name)),
        "alt_layout_words": float(layout_words(alt)),
        "explicit_letters": float(sum(word in address for word in EXPLICIT)),
        "gif": float(kind == "gif"),
        "png_or_jpeg": float(kind in PNG_OR_JPEG),
    }


def layout_words(text: str) -> int:
    """How many words of `text` name layout."""
    return sum(word.casefold() in LAYOUT_WORDS for word in WORD.findall(text))


def file_name(url: str) -> str:
    """The last part of the address's path; nothing for a picture that stood in its page."""
    return "" if url.startswith("data:") else unquote(urlsplit(url).path).rpartition("/")[2]


def file_kind(url: str, name: str) -> str:
    """What follows the last dot of the file's `name`; of a picture that stood in its page, its media type."""
    if url.startswith("data:image/"):
        return url.removeprefix("data:image/").partition(";")[0].casefold()
    return name.rpartition(".")[2].casefold() if "." in name else ""
