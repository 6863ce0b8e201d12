"""Every way in which a page names a picture: plain, by width or density, by type, or for lazy loading."""

import re
from collections.abc import Iterator
from typing import Any

LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-image", "data-url")
"""Attributes in which lazy loading keeps the address of the real picture."""


def image_addresses(element: Any) -> Iterator[str]:
    """Every address that an `<img>` gives, the best first."""
    # libxml2 knows no void <source>: an <img> after one is parsed as its child.
    picture = next(element.iterancestors("picture"), None)
    for source in (element, *(picture.iter("source") if picture is not None else ())):
        for name in ("srcset", "data-srcset"):
            yield from _by_density(source.get(name, ""))
    for name in (*LAZY, "src"):
        if element.get(name):
            yield element.get(name)


def _by_density(srcset: str) -> list[str]:
    """The addresses of a `srcset`, the widest or densest first."""
    found = re.findall(r"(\S*[^\s,])(?:\s+([\d.]+)[wx])?\s*(?:,|$)", srcset)
    return [address for address, _ in sorted(found, key=lambda pair: -_number(pair[1]))]


def _number(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 1.0


def is_placeholder(address: str) -> bool:
    return address.strip().startswith("data:") or bool(
        re.search(r"(spacer|blank|pixel|placeholder)\.(gif|png)", address)
    )
