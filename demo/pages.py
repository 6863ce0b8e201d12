"""The demo site's pages as HTML: a frame of navigation, sidebar and footer around what the page is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from random import Random

from demo.markup import ADDRESSES, BASE, LAYOUTS, Exhibit, from_base
from demo.sentences import PHOTOGRAPH_REMARKS, REMARKS, say

LOGO = "decoration/logo.png"
RULE = "decoration/rule.png"
PRIVATE = "private/"
RELATED_LINKS = 4
PHOTOGRAPH_EVERY, RULE_EVERY, BROKEN_EVERY = 11, 6, 15  # pages


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page of exhibits: its number, which sets how it is laid out, its path within the site and its title."""

    number: int
    path: str
    title: str
    exhibits: tuple[Exhibit, ...]


def digit_page(page: Page, pages: Sequence[Page], photographs: Sequence[str], random: Random) -> str:
    """The page's exhibits between remarks, with links to other pages around them."""
    layout = LAYOUTS[page.number % len(LAYOUTS)]
    address = ADDRESSES[page.number % len(ADDRESSES)]
    opening, close, *middle = random.sample(REMARKS, 4)
    parts = [paragraph(opening), layout(page.exhibits, address, random), paragraph(" ".join(middle))]
    if page.number % PHOTOGRAPH_EVERY == 0:
        parts.append(photograph(random.choice(photographs)))
    if page.number % RULE_EVERY == 0:
        parts.insert(1, f'<img src="/{RULE}" alt="" class="rule">')
    if page.number % BROKEN_EVERY == 0:
        parts.append(f'<p><img src="/pictures/lost-{page.number}.png" alt="A sheet that was lost"></p>')
    base = BASE if address is from_base else ""
    related = random.sample(pages, RELATED_LINKS)
    return frame(page.title, "\n".join([*parts, paragraph(close)]), related, head=base)


def album_page(number: int, album: Sequence[Page], random: Random) -> str:
    """A list of links to the album's pages, relative ones, under a few words."""
    links = "\n".join(f'<li><a href="../{page.path}">{escape(page.title)}</a></li>' for page in album)
    opening = " ".join(random.sample(REMARKS, 3))
    return frame(f"Album {number}", f"{paragraph(opening)}\n<ol>\n{links}\n</ol>", album[:RELATED_LINKS])


def index_page(albums: Sequence[str], pages: Sequence[Page], photographs: Sequence[str], random: Random) -> str:
    """The start page: what the site is, a photograph, and links to the albums and to the forbidden part."""
    links = "\n".join(f'<li><a href="{path}">Album {number}</a></li>' for number, path in enumerate(albums, 1))
    content = [
        paragraph(" ".join(random.sample(REMARKS, 5))),
        photograph(photographs[0]),
        f'<ul class="albums">\n{links}\n</ul>',
        f'<p>The people who look after the albums keep <a href="/{PRIVATE}index.html">their drafts</a> here.</p>',
    ]
    return frame("Handwritten digits", "\n".join(content), pages[:RELATED_LINKS])


def forbidden_page(title: str, links: Sequence[str], exhibits: Sequence[Exhibit], random: Random) -> str:
    """A page that robots.txt forbids to fetch, with a picture of its own."""
    items = "".join(f'<li><a href="/{path}">A draft</a></li>' for path in links)
    shown = "".join(f'<p><img src="/{exhibit.path}" alt=""></p>' for exhibit in exhibits)
    said = " ".join(say("Nobody should read this draft about {a_word}.", exhibit.digit) for exhibit in exhibits)
    return frame(title, f"{shown}{paragraph(said)}<ul>{items}</ul>", [])


def frame(title: str, content: str, related: Sequence[Page], head: str = "") -> str:
    """A whole document: `content` among what every page of the site carries."""
    links = "".join(f'<li><a href="/{page.path}">{escape(page.title)}</a></li>' for page in related)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)}</title>
{head}
</head>
<body>
<header><img src="/{LOGO}" alt="" width="24" height="24">
<nav><a href="/index.html">Start</a> <a href="/albums/1.html">First album</a></nav></header>
<aside class="sidebar"><h2>Related pages</h2><ul>{links}</ul></aside>
<main>
<article>
<h1>{escape(title)}</h1>
{content}
</article>
</main>
<footer><p>Pictures: optical recognition of handwritten digits, E. Alpaydin and C. Kaynak, CC BY 4.0; photographs
as scikit-learn ships them.</p></footer>
</body>
</html>
"""


def paragraph(text: str) -> str:
    """The text in a `p`."""
    return f"<p>{escape(text)}</p>"


def photograph(path: str) -> str:
    """A photograph with its caption, and a sentence that speaks of it."""
    caption, remark = next(said for name, said in PHOTOGRAPH_REMARKS.items() if name in path)
    return (
        f'<figure><img src="/{path}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>\n'
        f"{paragraph(remark)}"
    )
