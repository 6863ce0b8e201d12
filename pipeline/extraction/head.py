"""What a page says of itself outside its content: title, language, addresses, licence, and what it asks of robots."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.addresses import canonical

OPT_OUT = frozenset(("noindex", "noai", "noimageai", "noimageindex"))
PUBLISHED = (
    "article:published_time", "datepublished", "og:published_time", "date", "dc.date", "dc.date.issued", "pubdate",
    "parsely-pub-date", "sailthru.date",
)  # fmt: skip
"""Names under which `<meta>` gives the time of publication, the most exact first."""
PUBLISHED_JSON = re.compile(r'"datePublished"\s*+:\s*+"([^"\\]{4,40})"')
JSON_LD = "application/ld+json"
MOST_DESCRIPTION = 2_000
MOST_JSON = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a page says of itself."""

    title: str
    language: str
    base: str
    """What its relative addresses are relative to."""
    canonical: str
    """The address that it wants to be known by, or empty."""
    published: str
    """When it was published, as it is written, or empty."""
    licence: str
    """The address of its licence (`rel=license`), or empty."""
    licences: Mapping[str, str]
    """Licences of pictures by their address, as JSON-LD gives them."""
    directives: frozenset[str]
    """What `<meta name=robots>` asks for: noindex, noai, noimageai, noimageindex."""
    links: tuple[str, ...]
    """Targets of all its links as they are written, each once."""
    description: str
    """Its `<meta>`, one a line, and its JSON-LD, 2,000 characters of each."""


def read_head(root: Any, url: str) -> Head:
    """What the page below `root`, found at `url`, says of itself."""
    found: dict[str, list[Any]] = {name: [] for name in ("script", "meta", "base", "link", "title")}
    anchors: list[tuple[str | None, str | None]] = []
    for element in root.iter("a", *found):
        if (name := element.tag) == "a":
            # There may be a hundred thousand: what they say is kept, not they.
            anchors.append((element.get("href"), element.get("rel")))
        else:
            found[name].append(element)
    scripts = [script.text or "" for script in found["script"] if script.get("type") == JSON_LD]
    metas = [(_meta_name(meta), meta.get("content", "")) for meta in found["meta"]]
    named = {name: content.strip() for name, content in reversed(metas) if content.strip()}
    base = next((canonical(element.get("href"), url) for element in found["base"] if element.get("href")), None)
    base = base or url
    links = [(link.get("href"), link.get("rel")) for link in found["link"]]
    related = [(address, relations.lower().split()) for address, relations in (*links, *anchors) if relations]

    def target(relation: str) -> str:
        addresses = (address for address, relations in related if relation in relations)
        return next((canonical(address, base) or "" for address in addresses if address), "")

    return Head(
        title=_title(found["title"]),
        language=root.get("lang", "").strip().lower(),
        base=base,
        canonical=target("canonical"),
        published=next((named[name] for name in PUBLISHED if name in named), "") or _published(scripts),
        licence=target("license"),
        licences=_licences(scripts),
        directives=directives([content for name, content in metas if name == "robots"]),
        links=tuple(dict.fromkeys(address for address, _ in anchors if address is not None)),
        description=_beginning([f"{name}={content}" for name, content in metas]) + _beginning(scripts),
    )


def _title(elements: Iterable[Any]) -> str:
    """The first title that is not a drawing's."""
    titles = (title.text or "" for title in elements if next(title.iterancestors("svg"), None) is None)
    return " ".join(next(titles, "").split())


def directives(contents: list[str]) -> frozenset[str]:
    """What the contents of `<meta name=robots>` forbid."""
    words = {word.strip().lower() for content in contents for word in content.split(",")}
    return frozenset((words | ({"noindex"} if "none" in words else set())) & OPT_OUT)


def _meta_name(meta: Any) -> str:
    return (meta.get("property") or meta.get("name") or meta.get("itemprop") or "").lower()


def _published(scripts: list[str]) -> str:
    found = (PUBLISHED_JSON.search(script[:MOST_JSON]) for script in scripts)
    return next((match.group(1).strip() for match in found if match), "")


def _beginning(parts: list[str]) -> str:
    return "\n".join(parts)[:MOST_DESCRIPTION]


def _licences(scripts: list[str]) -> dict[str, str]:
    """`license` of every object in JSON-LD that has an address of its own (schema.org/ImageObject)."""
    found: dict[str, str] = {}
    for script in scripts:
        if '"license"' not in script or len(script) > MOST_JSON:
            continue
        try:
            pending: list[object] = [json.loads(script)]
        except (ValueError, RecursionError):
            continue
        while pending:
            item = pending.pop()
            pending += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            if isinstance(item, dict) and isinstance(licence := item.get("license"), str):
                addresses = (item.get(name) for name in ("contentUrl", "url", "@id"))
                licence = licence.encode("utf-8", "replace").decode()  # JSON can spell half of a surrogate pair
                found |= {address: licence for address in addresses if isinstance(address, str)}
    return found
