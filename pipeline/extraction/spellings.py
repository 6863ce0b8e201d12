"""Addresses under which sites serve one picture in several sizes: what they share, and how large each is."""

import math
import re

SIZE = re.compile(
    r"""[-_./@] (?: (?: \d{2,4}x(?:\d{2,4}|n)? | x\d{2,4} | fullxfull | \d{2,4}px-? ) (?![a-z0-9])
                  | scaled(?=\.) | [23]x(?=\.) | (?<=\.)_[a-z0-9_,]+_(?=\.)
                  | max/\d{2,4}(?=/) | resize:[\w:]+(?=/) | [a-z]{1,2}_[^/,]+(?:,[a-z]{1,3}_[^/,]+)+(?=/) )""",
    re.VERBOSE | re.IGNORECASE,
)
"""A size in a path, as WordPress, Shopify, Etsy and Wikimedia write it; WordPress again, screens, Amazon; and Medium,
twice, and Cloudinary. That each begins with a separator lets `re` pass by all else."""
ASKED = re.compile(
    r"""[?&](?: (?:w|h|wid|hei|width|height|size|sz|resize)=(?P<sides>(?:[\d.,:x*-]|%2C)++)
              | (?:quality|q|dpr)=(?:[\d.,]++|auto) | (?:fit|crop|auto|format|fm)=[^&]*+ ) (?=&|\Z)""",
    re.VERBOSE | re.IGNORECASE,
)
"""What a query says of a picture's size and form, and not of which picture it is."""
PIXELS = re.compile(r"(?<![\d.])(?<!q_)\d{2,4}(?![\d.])")
"""A side; Cloudinary writes qualities as q_90."""
LEAST_NAME = 4
"""Of a name with fewer letters and digits beside its size that is all there is: banners of several sizes differ."""


def picture_of(address: str) -> str:
    """The address without its sizes: the same for all sizes of a picture."""
    if address.startswith("data:"):
        return address
    path, mark, query = address.partition("?")
    plain = SIZE.sub(_border, path)
    name = plain.rpartition("/")[2]
    if not path.endswith(f"/{name}") and sum(map(str.isalnum, name.rpartition(".")[0] or name)) < LEAST_NAME:
        plain = path
    return f"{plain}?{ASKED.sub('', mark + query).strip('?&')}" if mark else plain


def _border(size: re.Match[str]) -> str:
    """What stays of a size: the border of the parts of a path."""
    return "/" if size[0][0] == "/" else ""


def longest_side(address: str) -> float:
    """The most pixels that the address asks for, in its query or else in its path; infinity where it names none."""
    path, mark, query = address.partition("?")
    asked = (match["sides"] or "" for match in ASKED.finditer(mark + query))
    for said in (asked, (match[0] for match in SIZE.finditer(path))):
        if sides := [int(side) for part in said for side in PIXELS.findall(part)]:
            return max(sides)
    return math.inf
