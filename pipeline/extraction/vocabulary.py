"""What markup means to extraction: elements by what they do to text, and the words that sites put in class and id."""

import re
from functools import lru_cache, reduce
from operator import or_

INLINE = frozenset(
    "abbr acronym b basefont bdi bdo big blink cite code del dfn em font i ins kbd mark marquee meter nobr "
    "object output param picture progress q rb rp rt rtc ruby s samp small source span strike strong sub sup time "
    "track tt u var wbr input".split()
)
"""Elements within a word or sentence. White space is put around those that HTML does not know."""
MEDIA = {
    "img": "image", "amp-img": "image", "video": "video", "amp-video": "video", "iframe": "player",
    "amp-iframe": "player", "amp-youtube": "player", "lite-youtube": "player", "embed": "player", "audio": "audio",
    "amp-audio": "audio",
}  # fmt: skip
"""Elements that are a segment of their own, and what they hold."""
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
    r"comment|disqus|repl(?:y|ies)$|discuss",
    r"sidebar|^side$|aside|widget|rail$",
    r"share|social|follow|facebook|twitter",
    r"relat|recommend|suggest|also|similar|^more$|upsell|sell$|carousel|slider",
    r"^ads?$|advert|sponsor|promo|banner|affiliate",
    r"cookie|consent|gdpr|popup|modal|overlay|newsletter|subscri|sign(?:up|in)|login|dialog",
    r"nav|menu|breadcrumb|pagination|pager|tabs?$|toolbar|toc$|skip",
    r"foot|copyright|legal|colophon|bottom",
    r"head|masthead|^top|logo|brand",
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
    r"hidden|collapse|^sr$|visually|screen|print|mobile|hide$",
    r"hero|intro|lead|summary|abstract|excerpt|title|headline|heading",
    r"faq|accordion|panel|^tab$",
)
"""Kinds of words in `class` and `id`; a segment remembers the kinds of all elements that it lies in."""
CONTAINER_TAGS = (*TAGS, "div")
"""Tags of containers; whatever is not among `TAGS`, a body too, counts as a div."""
MARKS = (*CLASSES, *CONTAINER_TAGS)
"""What is remembered of a container, a bit each; as many as fit into an integer of 64 bits."""
CONTAINER_TAG = {tag: 1 << number for number, tag in enumerate(CONTAINER_TAGS, start=len(CLASSES))}
"""The bit of each tag."""
ROLES = {
    "navigation": 6, "menu": 6, "menubar": 6, "banner": 8, "contentinfo": 7, "search": 17,
    "complementary": 1, "dialog": 5, "main": 9, "article": 9,
}  # fmt: skip
"""The kind of class that a `role` stands for."""
LONG_ATTRIBUTES = 1_000
"""Classes are looked for in so many characters, since what they mean is remembered by them."""
NAMES = re.compile(r' (?:class|id)="([^"]*)"')
WORD = re.compile(r"[a-z]+")
ROLE = re.compile(r' role="([^"]*)"')
_CLASSES = [re.compile(pattern) for pattern in CLASSES]


@lru_cache(maxsize=65536)
def classes_of(said: str) -> int:
    """Bits of `CLASSES` of a tag with these attributes; sites repeat theirs endlessly."""
    names = " ".join(NAMES.findall(said)).lower()
    bits = reduce(or_, map(_kinds_of, WORD.findall(names)), 0)
    for role in ROLE.findall(said) if " role=" in said else ():
        bits |= 1 << ROLES[role] if role in ROLES else 0
    return bits


@lru_cache(maxsize=65536)
def _kinds_of(word: str) -> int:
    """Bits of `CLASSES` found in one word of a class or an id."""
    return sum(1 << number for number, pattern in enumerate(_CLASSES) if pattern.search(word))
