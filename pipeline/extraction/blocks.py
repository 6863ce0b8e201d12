"""From the segments that belong to the content to blocks: text that reads well, and media with where they came from."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.extraction.containers import Containers, lies_in, nearest
from pipeline.extraction.media import MOST_ADDRESSES, find_medium, reason_to_leave_out
from pipeline.extraction.segments import Segments
from pipeline.extraction.spellings import longest_side, picture_of
from pipeline.extraction.tags import paths
from pipeline.extraction.vocabulary import CONTAINER_TAG
from pipeline.page import Block, ImageReference, TextBlock, VideoReference

CAPTION = re.compile(r' (?:class|id)="[^"]*caption', re.IGNORECASE)
"""WordPress and others write captions without `<figcaption>`."""
IN_CAPTION = CONTAINER_TAG["figcaption"]
IN_ITEM = CONTAINER_TAG["li"] | CONTAINER_TAG["dd"]
IN_ROW = CONTAINER_TAG["tr"]
IN_TERMS = CONTAINER_TAG["dl"]
LISTS = frozenset(("ul", "ol", "dl", "menu"))
LISTS_AND_TABLES = LISTS | {"table"}
Media = dict[int, ImageReference | VideoReference]


def blocks_of(
    segments: Segments, containers: Containers, keep: Sequence[bool], base: str, licences: Mapping[str, str]
) -> tuple[tuple[Block, ...], Counter[str]]:
    """The segments chosen by `keep` as blocks, each picture once; and the media that are no block, by reason.

    Whatever `keep` says, the caption of a kept medium is kept too.
    """
    left_out = Counter[str]()
    media = _media(segments, containers, keep, base, licences, left_out)
    captions = _captions(segments, containers, media)
    chosen = [kept or number in captions for number, kept in enumerate(keep)]
    runs = list(_runs(segments, chosen, media, captions))
    tags = [segments.media[run[0]] or segments.container_tags[_holder(segments, run)] for run in runs]
    places = paths(segments, tags)
    blocks: list[Block] = []
    before = -1
    for run, tag in zip(runs, tags, strict=True):
        if run[0] in media:
            blocks.append(replace(media[run[0]], path=places[tag]))
        else:
            text = _joined(segments, containers, run, before)
            blocks.append(TextBlock(text=text, caption=run[0] in captions, path=places[tag]))
            before = run[-1]
    return tuple(blocks), left_out


def _media(
    segments: Segments,
    containers: Containers,
    keep: Sequence[bool],
    base: str,
    licences: Mapping[str, str],
    left_out: Counter[str],
) -> Media:
    """The kept media, by their segment."""
    media: Media = {}
    first: set[str] = set()
    seen: set[str] = set()
    pictures: dict[str, int] = {}
    for number, tag in enumerate(segments.media):
        if not tag:
            continue
        reference = find_medium(segments, containers, number, base, licences) if keep[number] else None
        if reference is None:
            left_out[reason_to_leave_out(segments, tag, chosen=bool(keep[number]))] += 1
            continue
        if reference.url in seen or not first.isdisjoint(reference.alternatives):
            left_out["repeated"] += 1
            continue
        seen.update((reference.url, *reference.alternatives))
        is_picture = isinstance(reference, ImageReference)
        if is_picture and (named := _named_before(segments, containers, number, reference, media, pictures)):
            place, picture = named
            media[place] = picture
            left_out["repeated"] += 1
        else:
            # Other pictures may share an alternative: what stands in for them until they are loaded.
            first.add(reference.url)
            media[number] = reference
    return media


def _named_before(
    segments: Segments,
    containers: Containers,
    number: int,
    again: ImageReference,
    media: Media,
    pictures: dict[str, int],
) -> tuple[int, ImageReference] | None:
    """Where a picture stands that `again` names in another way, and all that is known of it then.

    `pictures` holds where each stands by its address without sizes; it learns of `again` if that is a new one.
    """
    if lazy := _stood_in_for(segments, containers, number, again, media):
        place, picture = lazy
        # The second is the better one if the first stands in for it in its `src`.
        return place, _merged(picture, again, again_is_better=picture.attribute == "src")
    place = pictures.setdefault(picture_of(again.url), number)
    picture = media.get(place)
    if not isinstance(picture, ImageReference):
        return None
    is_larger = longest_side(again.url) > longest_side(picture.url)
    return place, _merged(picture, again, again_is_better=is_larger)


def _stood_in_for(
    segments: Segments, containers: Containers, number: int, plain: ImageReference, media: Media
) -> tuple[int, ImageReference] | None:
    """The picture that a `<noscript>` right behind it repeats for readers without scripts: of the same file's name."""
    if not lies_in(segments, containers, number, "noscript"):
        return None
    for place in range(number - 1, max(number - 4, -1), -1):
        if not segments.media[place]:
            return None
        if isinstance(lazy := media.get(place), ImageReference):
            alike = _file_of(lazy.url) == _file_of(plain.url) and not lies_in(segments, containers, place, "noscript")
            return (place, lazy) if alike else None
    return None


def _file_of(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[2]


def _merged(picture: ImageReference, again: ImageReference, *, again_is_better: bool) -> ImageReference:
    """One picture named twice: where and as the first is, with the addresses of both."""
    better, other = (again, picture) if again_is_better else (picture, again)
    addresses = dict.fromkeys((*better.alternatives, other.url, *other.alternatives))
    alternatives = [address for address in addresses if address != better.url]
    return replace(
        picture, url=better.url, alternatives=tuple(alternatives[: MOST_ADDRESSES - 1]), attribute=better.attribute
    )


def is_caption(segments: Segments, containers: Containers, number: int) -> bool:
    """Whether the markup of a text says that it is a caption."""
    container = segments.containers[number]
    if containers.marks_around[container] & IN_CAPTION:
        return True
    near = (container, segments.parents[container])
    return any(CAPTION.search(segments.attributes[segments.container_tags[one]]) for one in near)


def _captions(segments: Segments, containers: Containers, media: Media) -> dict[int, int]:
    """The figures of the texts that are captions: marked so, and only captions between them and a kept medium."""
    found: dict[int, int] = {}
    for step in (1, -1):
        for medium in media:
            number = medium + step
            while 0 <= number < len(segments) and not segments.media[number] and number not in found:
                if not is_caption(segments, containers, number):
                    break
                found[number] = nearest(segments, number, ("figure",))
                number += step
    return found


def _runs(segments: Segments, keep: Sequence[bool], media: Media, captions: Mapping[int, int]) -> Iterator[list[int]]:
    """Segments that make one block: a medium, or texts between which nothing was left out but media."""
    run: list[int] = []
    for number, (tag, kept) in enumerate(zip(segments.media, keep, strict=True)):
        left_out = tag and number not in media
        parted = not left_out and (tag or not kept or (run and captions.get(number) != captions.get(run[0])))
        if run and (parted or number in segments.gaps):
            yield run
            run = []
        if left_out:
            continue
        if tag:
            yield [number]
        elif kept:
            run.append(number)
    if run:
        yield run


def _joined(segments: Segments, containers: Containers, run: list[int], before: int) -> str:
    """The texts of `run` as a person would write them down; `before` is the last text of the block before."""
    parts: list[str] = []
    for number in run:
        around = containers.marks_around[segments.containers[number]]
        text = segments.texts[number]
        row = nearest(segments, number, ("tr",)) if around & IN_ROW else 0
        if around & IN_ITEM:
            item = nearest(segments, number, ("li", "dd"))
            text = f"- {text}" if segments.starts[item] > before else text
        if parts:
            parts.append(_separator(segments, containers, before, number, row))
        parts.append(text)
        before = number
    return "".join(parts)


def _separator(segments: Segments, containers: Containers, before: int, number: int, row: int) -> str:
    if row and segments.starts[row] <= before:
        cell = nearest(segments, number, ("td", "th"))
        return " | " if segments.starts[cell] > before else "\n"
    both = containers.marks_around[segments.containers[before]] & containers.marks_around[segments.containers[number]]
    if both & (IN_ITEM | IN_ROW | IN_TERMS):
        outer, inner = nearest(segments, before, LISTS), nearest(segments, number, LISTS_AND_TABLES)
        nested = outer and number < segments.ends[outer]
        return "\n" if nested or segments.starts[inner] <= before else "\n\n"
    return "\n\n"


def _holder(segments: Segments, run: list[int]) -> int:
    """The innermost container that holds all of `run`."""
    container = segments.containers[run[0]]
    while segments.ends[container] <= run[-1]:
        container = segments.parents[container]
    return container
