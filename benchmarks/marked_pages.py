"""Pages whose content people marked, as the content model sees them.

Three sets of the material give text: wcxb, aeb (article text by hand) and readability (content accepted by hand).
readability and the labels of tests/pipeline/wcxb_images.json give images, and both come from the folder that
`benchmarks.fixture_pages` makes. `benchmarks.taught_pages` adds there what a program keeps of further pictures, and
`benchmarks.entries` tells from marked text which pictures of other listings and collections belong to it.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import chain
from pathlib import Path

import lxml.html
import numpy as np
from numpy.typing import NDArray

from benchmarks.entries import KINDS_WITH_ENTRIES, pictures_of_entries
from pipeline.addresses import canonical
from pipeline.extraction.blocks import is_caption
from pipeline.extraction.candidates import image_candidates, is_placeholder
from pipeline.extraction.containers import Containers, containers_of
from pipeline.extraction.encodings import decode
from pipeline.extraction.features import Floats, text_features
from pipeline.extraction.head import read_head
from pipeline.extraction.markup import parse
from pipeline.extraction.segments import Segments, cut
from pipeline.extraction.tags import attributes_of, sources_of
from pipeline.extraction.vocabulary import CONTAINER_TAG, MEDIA

WORD = re.compile(r"\w+")
TAUGHT = "taught.json"
"""The file of `benchmarks.taught_pages`, in the folder of extra pages."""
TAUGHT_KINDS = ("article", "documentation", "service", "news", "extra")
"""Pages of one text, for which Readability.js was made; of forums and shops it keeps what people would not."""
LEAST_AGREEMENT = 0.8
"""F1 of words from which what Readability.js keeps of a page is what people marked."""
WEIGHT_OF_PICTURES = {"readability": 1.5, "extra": 0.5}
"""Of other kinds, of which few pages are labelled, a page counts as three."""
WEIGHT_OF_TAUGHT = 1.0
WEIGHT_OF_ENTRIES = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A page whose content is marked."""

    id: str
    kind: str
    url: str
    html: bytes
    content: str
    pictures: frozenset[str] | None
    """Addresses of the content's pictures; None where nobody marked them."""
    optional: frozenset[str] = frozenset()
    """Addresses of pictures that may be kept or not."""
    weight_of_pictures: float = 3.0
    """How much they count in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A page as the model sees it."""

    id: str
    kind: str
    segments: Segments
    containers: Containers
    features: Floats
    words: Floats
    """Of each segment, as the model counts them."""
    found: Floats
    """Share of each segment's words that the marked content has in this place."""
    captions: NDArray[np.bool_]
    """bool[segment]: which are marked as captions."""
    titles: NDArray[np.bool_]
    """bool[segment]: which stand in a heading of the first level."""
    pictures: Floats
    """1 for pictures of the content, 0 for others, -1 where unknown."""
    weight_of_pictures: float
    """How much they count in training."""
    bags: list[Counter[str]]
    wanted: Counter[str]


def read_pages(material: Path, labelled: Path, extra: Path | None) -> Iterator[Marked]:
    """All marked pages of the material, and those in the folder `extra`."""
    labels = json.loads(labelled.read_text())["pages"]
    pages = material / "pages"
    for folder, kind in (("wcxb", None), ("aeb", "news")):
        for name, item in json.loads((pages / folder / "ground-truth.json").read_text()).items():
            path = pages / folder / f"{name}.html.gz"
            if path.exists():
                label = labels.get(name) if folder == "wcxb" else None
                yield Marked(
                    id=name,
                    kind=kind or item["page_type"],
                    url=item.get("url") or "",
                    html=gzip.decompress(path.read_bytes()),
                    content=item["articleBody"],
                    pictures=frozenset(chain.from_iterable(label["content"])) if label else None,
                    optional=frozenset(chain.from_iterable(label.get("optional", []))) if label else frozenset(),
                )
    yield from _read_extra(extra) if extra else ()
    for folder in sorted((pages / "readability").iterdir()):
        if (folder / "source.html").exists():
            url = json.loads((folder / "meta.json").read_text())["url"]
            expected = lxml.html.document_fromstring((folder / "expected.html").read_bytes().decode("utf-8", "replace"))
            yield Marked(
                id=folder.name,
                kind="readability",
                url=url,
                html=(folder / "source.html").read_bytes(),
                content="\n".join(expected.itertext()),
                pictures=frozenset(
                    chain.from_iterable(picture_addresses(image.attrib, (), url) for image in expected.iter("img"))
                ),
                weight_of_pictures=WEIGHT_OF_PICTURES["readability"],
            )


def _read_extra(folder: Path) -> Iterator[Marked]:
    for name, item in json.loads((folder / "ground-truth.json").read_text()).items():
        yield Marked(
            id=name,
            kind="extra",
            url=item["url"],
            html=gzip.decompress((folder / f"{name}.html.gz").read_bytes()),
            content=item["articleBody"],
            pictures=None if item["images"] is None else frozenset(item["images"]),
            weight_of_pictures=WEIGHT_OF_PICTURES["extra"],
        )


def with_taught(pages: Iterable[Marked], extra: Path | None) -> Iterator[Marked]:
    """`pages`, and the labels and further pages of the teacher where the folder `extra` has them.

    Its labels are taken for pages whose pictures nobody marked, if it agrees with people on the text.
    """
    taught = json.loads((extra / TAUGHT).read_text()) if extra and (extra / TAUGHT).exists() else {}
    for page in pages:
        label = taught.pop(page.id, None)
        if label and page.pictures is None and page.kind in TAUGHT_KINDS and _agreement(page, label) > LEAST_AGREEMENT:
            page = replace(
                page, url=label["url"], pictures=frozenset(label["images"]), weight_of_pictures=WEIGHT_OF_TAUGHT
            )
        yield page
    for name, label in taught.items():
        yield Marked(
            id=name,
            kind="taught",
            url=label["url"],
            html=Path(extra or "", f"{name}.html").read_bytes(),
            content=label["text"],
            pictures=frozenset(label["images"]),
            weight_of_pictures=WEIGHT_OF_TAUGHT,
        )


def _agreement(page: Marked, label: Mapping[str, str]) -> float:
    """F1 of words."""
    marked, kept = (Counter(WORD.findall(text.lower())) for text in (page.content, label["text"]))
    return 2 * (marked & kept).total() / max(1, marked.total() + kept.total())


def prepare(page: Marked) -> Prepared | None:
    """Features and targets of `page`; None if nothing is on it."""
    html = decode(page.html, None).utf_8
    tree = parse(html)
    head = read_head(tree, page.url)
    segments, _ = cut(html, tree)
    if not len(segments):
        return None
    containers = containers_of(segments)
    features, shared = text_features(segments, containers, head.description, page.url)
    words, owners = [], []
    for number, text in enumerate(segments.texts):
        for word in WORD.findall(text.lower()):
            words.append(word)
            owners.append(number)
    wanted = WORD.findall(page.content.lower())
    hits, counts = np.zeros(len(segments), np.float32), np.bincount(owners, minlength=len(segments))
    for match in SequenceMatcher(None, words, wanted, autojunk=False).get_matching_blocks():
        np.add.at(hits, owners[match.a : match.a + match.size], 1)
    counted = np.asarray(segments.words, np.float32)
    found = (hits / np.maximum(counts, 1)).astype(np.float32)
    pictures = np.asarray([_picture_target(segments, tag, page, head.base) for tag in segments.media], np.float32)
    has_entries = page.pictures is None and page.kind in KINDS_WITH_ENTRIES
    if has_entries:
        pictures = pictures_of_entries(segments, containers, counted, found)
    return Prepared(
        id=page.id,
        kind=page.kind,
        segments=segments,
        containers=containers,
        features=np.hstack([features, np.broadcast_to(shared, (len(segments), len(shared)))]),
        words=counted,
        found=found,
        captions=np.asarray([is_caption(segments, containers, number) for number in range(len(segments))]),
        titles=np.asarray([containers.marks_around[own] & CONTAINER_TAG["h1"] > 0 for own in segments.containers]),
        pictures=pictures,
        weight_of_pictures=WEIGHT_OF_ENTRIES if has_entries else page.weight_of_pictures,
        bags=[Counter(WORD.findall(text.lower())) for text in segments.texts],
        wanted=Counter(wanted),
    )


def _picture_target(segments: Segments, tag: int, page: Marked, base: str) -> float:
    if not tag or page.pictures is None or MEDIA.get(segments.names[tag], "image") != "image":
        return -1.0
    addresses = set(picture_addresses(attributes_of(segments, tag), sources_of(segments, tag), base))
    if addresses & page.optional or not addresses:
        return -1.0
    return float(bool(addresses & page.pictures))


def picture_addresses(image: Mapping[str, str], sources: Sequence[Mapping[str, str]], base: str) -> Iterator[str]:
    """The absolute addresses of a picture, without those that only hold its place: many pictures share these."""
    for candidate in image_candidates(image, sources):
        address = None if is_placeholder(candidate.address) else canonical(candidate.address, base)
        if address:
            yield address


def media_of(page: Prepared) -> NDArray[np.int64]:
    """Numbers of the segments of `page` that are media."""
    return np.flatnonzero(np.asarray(page.segments.media))
