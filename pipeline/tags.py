"""What the tags of a page say beside their names, and where they stand; a tag is known by its number."""

import re
from collections.abc import Collection
from html import unescape

from pipeline.segments import Segments

ATTRIBUTE = re.compile(r' ([^\s=]+)="([^"]*)"')


def attributes_of(segments: Segments, number: int) -> dict[str, str]:
    """The attributes of a tag of the page."""
    said = ATTRIBUTE.findall(segments.attributes[number])
    return {name: unescape(value) if "&" in value else value for name, value in said}


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
    wanted = set(tags)
    counts = dict[str, int]()
    outer: list[dict[str, int]] = []  # counts of the elements around, each beside the step that leads out of it
    steps: list[str] = []
    for number, (name, said) in enumerate(
        zip(segments.names[: max(wanted, default=-1) + 1], segments.attributes, strict=False)
    ):
        if name[0] == "/":
            counts = outer.pop()
            steps.pop()
            continue
        counts[name] = counts.get(name, 0) + 1
        if number in wanted:
            places = [f"/{step}[{around[step]}]" for step, around in zip(steps, outer, strict=True)]
            found[number] = f"{''.join(places)}/{name}[{counts[name]}]"
        if said[-1:] != "/":
            outer.append(counts)
            steps.append(name)
            counts = {}
    return found
