"""The demo site's markup: eight honest ways to put pictures and what is said about them on a page.

A layout turns a page's exhibits into the HTML of its content. Some layouts speak of the picture before the text and
some of the one after it, as pages do; what goes with what is for the reader of the page to find out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from random import Random

from demo.digits import Digit
from demo.sentences import ABOUT_NEXT, ABOUT_PREVIOUS, FIGURE_CAPTIONS, say, say_each

PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # 1 x 1, clear
PICTURES = "pictures/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibit:
    """A digit on the site: its picture's path within the site, that of a larger copy, and the side in px."""

    digit: Digit
    path: str
    large: str
    side: int


Address = Callable[[str], str]  # from a path within the site to an address as a page writes it
Layout = Callable[[Sequence[Exhibit], Address, Random], str]


def root_relative(path: str) -> str:
    """`/pictures/x.png`: the same from every page."""
    return f"/{path}"


def relative(path: str) -> str:
    """`../pictures/x.png`: right on pages that lie one folder deep."""
    return f"../{path}"


def from_base(path: str) -> str:
    """`x.png`: right where the page declares BASE."""
    return path.removeprefix(PICTURES)


BASE = f'<base href="/{PICTURES}">'
ADDRESSES: tuple[Address, ...] = (root_relative, relative, from_base)


def image(exhibit: Exhibit, address: Address, more: str = "") -> str:
    """The plain `img`, with `more` attributes."""
    alt = escape(say("A handwritten {word}", exhibit.digit))
    size = f'width="{exhibit.side}" height="{exhibit.side}"'
    return f'<img src="{address(exhibit.path)}" alt="{alt}" {size}{more}>'


def figures(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """Figures with captions, and a paragraph after each that speaks of it."""
    digits = [exhibit.digit for exhibit in exhibits]
    captions = say_each(FIGURE_CAPTIONS, digits, random)
    remarks = say_each(ABOUT_PREVIOUS, digits, random)
    return "\n".join(
        f"<figure>{image(exhibit, address)}<figcaption>{escape(caption)}</figcaption></figure>\n<p>{escape(remark)}</p>"
        for exhibit, caption, remark in zip(exhibits, captions, remarks, strict=True)
    )


def picture_sources(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """`picture` with a larger `source`, and the text after it."""
    remarks = say_each(ABOUT_PREVIOUS, [exhibit.digit for exhibit in exhibits], random)
    return "\n".join(
        f'<div class="sheet"><picture><source type="image/jpeg" srcset="{address(exhibit.large)} 2x">'
        f"{image(exhibit, address)}</picture>\n<p>{escape(remark)}</p></div>"
        for exhibit, remark in zip(exhibits, remarks, strict=True)
    )


def source_sets(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """`srcset` with two widths, and the text before each picture."""
    remarks = say_each(ABOUT_NEXT, [exhibit.digit for exhibit in exhibits], random)
    return "\n".join(
        f"<p>{escape(remark)}</p>\n<div>" + image(exhibit, address, source_set(exhibit, address)) + "</div>"
        for exhibit, remark in zip(exhibits, remarks, strict=True)
    )


def source_set(exhibit: Exhibit, address: Address) -> str:
    """The attributes that offer the larger copy to wide screens."""
    small = f"{address(exhibit.path)} {exhibit.side}w"
    return f' srcset="{small}, {address(exhibit.large)} {2 * exhibit.side}w" sizes="(max-width: 600px) 50vw, 200px"'


def lazy_images(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """A placeholder that a script would replace, the true image in `data-src` and again in `noscript`."""
    remarks = say_each(ABOUT_NEXT, [exhibit.digit for exhibit in exhibits], random)
    return "\n".join(
        f"<p>{escape(remark)}</p>\n"
        f'<p><img class="lazy" src="{PLACEHOLDER}" data-src="{address(exhibit.path)}" alt="">'
        f"<noscript>{image(exhibit, address)}</noscript></p>"
        for exhibit, remark in zip(exhibits, remarks, strict=True)
    )


def table(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """A table with the picture on the left and what is said of it on the right."""
    remarks = say_each(ABOUT_PREVIOUS, [exhibit.digit for exhibit in exhibits], random)
    rows = "\n".join(
        f"<tr><td>{image(exhibit, address)}</td><td>{escape(remark)}</td></tr>"
        for exhibit, remark in zip(exhibits, remarks, strict=True)
    )
    return f"<table><thead><tr><th>Picture</th><th>Remark</th></tr></thead>\n<tbody>{rows}</tbody></table>"


def bullets(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """A list whose items are a picture and its caption; items are left open, as HTML allows."""
    captions = say_each(FIGURE_CAPTIONS, [exhibit.digit for exhibit in exhibits], random)
    items = "\n".join(
        f"<li>{image(exhibit, address)}<br>{escape(caption)}"
        for exhibit, caption in zip(exhibits, captions, strict=True)
    )
    return f"<ul>\n{items}\n</ul>"


def prose_before(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """Paragraphs that announce the picture that follows them, and at the end a link to a picture's larger copy."""
    remarks = say_each(ABOUT_NEXT, [exhibit.digit for exhibit in exhibits], random)
    pictures = "\n".join(
        f"<p>{escape(remark)}</p>\n<p>{image(exhibit, address)}</p>"
        for exhibit, remark in zip(exhibits, remarks, strict=True)
    )
    return f'{pictures}\n<p><a href="{address(exhibits[-1].large)}">The last picture in a larger size</a></p>'


def prose_after(exhibits: Sequence[Exhibit], address: Address, random: Random) -> str:
    """Sections of a picture and the paragraph that speaks of it."""
    remarks = say_each(ABOUT_PREVIOUS, [exhibit.digit for exhibit in exhibits], random)
    return "\n".join(
        f"<section>{image(exhibit, address, ' loading=lazy')}\n<p>{escape(remark)}</p></section>"
        for exhibit, remark in zip(exhibits, remarks, strict=True)
    )


LAYOUTS: tuple[Layout, ...] = (
    figures,
    picture_sources,
    source_sets,
    lazy_images,
    table,
    bullets,
    prose_before,
    prose_after,
)
