"""What the tags of a page say beside their names, and where they stand; a tag is known by its number."""

import re
from collections.abc import Collection
from html import unescape

from pipeline.extraction.segments import Segments

ATTRIBUTE = re.compile(r' ([^\s=]+)="([^"]*)"')


def attributes_of(segments: Segments, number: int) -> dict[str, str]:
    """The attributes of a tag of the page."""
    known = segments.read.get(number)
    if known is None:
        said = segments.attributes[number]
        known = segments.read[number] = dict(ATTRIBUTE.findall(said))
        if "&" in said:
            known.update({name: unescape(value) for name, value in known.items() if "&" in value})
    return known


def sources_of(segments: Segments, number: int) -> list[dict[str, str]]:
    """The attributes of the `<source>` elements that belong to a medium: inside it, or before it in a `<picture>`."""
    names, sources = segments.names, []
    before = number - 1
    while names[before].strip("/") == "source":
        if names[before] == "source":
            sources.insert(0, attributes_of(segments, before))
        before -= 1
    name = names[number]
    if name in ("video", "audio") and segments.attributes[number][-1:] != "/":
        end = names.index(f"/{name}", number)
        sources += [attributes_of(segments, inside) for inside in range(number, end) if names[inside] == "source"]
    return sources


def paths(segments: Segments, tags: Collection[int]) -> dict[int, str]:
    """Where the elements of `tags` are: steps with the number among elements of the same name, as XPath counts."""
    found: dict[int, str] = {}
    counts: dict[str, int] = {}
    place = ""
    # Of the elements around: how many of each name stood before what comes, and where they are.
    outer: list[tuple[dict[str, int], str]] = []
    names, attributes = segments.names, segments.attributes
    closing = dict(zip(segments.container_tags, segments.closing_tags, strict=True))
    number = 0
    for target in sorted(set(tags)):
        while number < target:
            name = names[number]
            if name[0] == "/":
                counts, place = outer.pop()
            else:
                counts[name] = counts.get(name, 0) + 1
                if number < closing.get(number, 0) < target:
                    number = closing[number]
                elif attributes[number][-1:] != "/":
                    outer.append((counts, place))
                    place += f"/{name}[{counts[name]}]"
                    counts = {}
            number += 1
        name = names[target]
        found[target] = f"{place}/{name}[{counts.get(name, 0) + 1}]"
    return found
