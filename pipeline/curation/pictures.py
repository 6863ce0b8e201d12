"""The same picture again: by its bytes, and by how it looks.

    images ─► contents ─► neighbours ─► labels ─► images by picture ─► in too many documents, or twice in one

Two contents are one picture if their perceptual hashes (ImageHash's `phash`, 64 bits) differ in few bits and their
thumbnails in little. Hashes that differ in at most d bits agree in one of d + 1 bands, by which they are found.
Of 157 photographs stored again at a third of the size as JPEG of quality 75, 156 had hashes within 4 bits and all had
thumbnails within 3 levels; no two different ones had hashes within 13 bits.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import imagehash
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from pipeline.curation.columns import Hashes, Numbers, best_of_each, groups, hashes_in, leaving, numbers_in, table_of
from pipeline.curation.components import clusters_of, first_of_component, near_pairs
from pipeline.curation.decisions import decide, without
from pipeline.curation.near import combine

BITS = 64
MOST_DISTANCE = 4
"""Bits in which the hashes of one picture may differ; an even number, because half of the bits of each are set."""
MOST_DIFFERENCE = 16.0
"""Levels (of 255) in which thumbnails of one picture may differ, on average: a tenth brighter is 10, a crop 5."""
MOST_DOCUMENTS = 10
"""Documents that may have a picture in common (OBELICS, arXiv 2306.16527; by address, build_obelics/06_02)."""
SIDE = 8
"""Pixels of a thumbnail's side."""
Thumbnails = npt.NDArray[np.uint8]
LOOK = [
    pa.field("hash", pa.uint64(), nullable=False),
    pa.field("thumbnail", pa.binary(SIDE * SIDE * 3), nullable=False),
]
SCHEMA = pa.schema(
    [
        pa.field("content", pa.uint64(), nullable=False),  # of its bytes
        pa.field("document", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("medium", pa.int32(), nullable=False),  # its place among the media of the document
        *LOOK,
    ]
)
"""The columns of the evidence."""


def look_of(pixels: npt.NDArray[np.uint8]) -> tuple[int, bytes]:
    """The perceptual hash of `uint8[height, width, 3]`, and its thumbnail, `uint8[8, 8, 3]`."""
    picture = Image.fromarray(pixels)
    bits = imagehash.phash(picture).hash
    thumbnail = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), thumbnail.tobytes()


def thumbnails_of(rows: pa.Table) -> Thumbnails:
    """`uint8[rows, 192]`."""
    data = b"".join(cast(list[bytes], rows["thumbnail"].to_pylist()))
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, SIDE * SIDE * 3)


def looks_like(
    own: tuple[np.uint64, Thumbnails], hashes: Hashes, thumbnails: Thumbnails, distance: int
) -> npt.NDArray[np.bool_]:
    """Which of `hashes`, `uint64[n]`, and `thumbnails`, `uint8[n, 192]`, look like `own`: `bool[n]`."""
    near = np.bitwise_count(hashes ^ own[0]) <= distance
    differences = np.abs(thumbnails[near].astype(np.int16) - own[1].astype(np.int16)).mean(axis=1)
    near[near] = differences <= MOST_DIFFERENCE
    return near


def contents_in_bands(rows: pa.Table, dropped: Numbers, distance: int) -> pa.Table:
    """A row for each content in `rows` and each of `distance` + 1 bands of its hash, with its look.

    Documents in `dropped` count as gone.
    """
    rows = without(rows, dropped)
    _, places = np.unique(hashes_in(rows, "content"), return_index=True)
    rows = rows.select(["content", "hash", "thumbnail"]).take(places)
    bands = [rows.append_column("band", pa.array(band)) for band in _bands(hashes_in(rows, "hash"), distance)]
    return pa.concat_tables(bands)


def link_contents(rows: pa.Table, distance: int) -> pa.Table:
    """The contents that look like another one of their band, each with a `first` that it hangs together with."""
    contents, looks = hashes_in(rows, "content"), (hashes_in(rows, "hash"), thumbnails_of(rows))
    pairs = [
        (contents[places[i]], contents[places[j]])
        for places in groups(hashes_in(rows, "band"))
        for i, j in _similar(looks[0][places], looks[1][places], distance)
    ]
    left, right = np.array(pairs, dtype=np.uint64).reshape(-1, 2).T
    linked, firsts = first_of_component(left, right)
    return table_of({"content": linked, "first": firsts})


def images_by_picture(rows: pa.Table, dropped: Numbers, labels: pa.Table) -> pa.Table:
    """The images of documents that are not `dropped`, with the `picture` that each is by the `labels` of contents."""
    rows = without(rows, dropped).select(["content", "document", "key", "medium"])
    return rows.append_column("picture", pa.array(clusters_of(rows, "content", labels)))


def find_frequent(images: pa.Table, most: int) -> pa.Table:
    """Decisions on all images whose picture is in more than `most` documents; the measure is in how many."""
    counts = _documents_by_image(images)
    places = np.flatnonzero(counts > most)
    return decide(images.take(places), "documents_over", measure=counts[places], threshold=most)


def find_repeated(images: pa.Table) -> pa.Table:
    """Decisions on images whose picture their document has shown before."""
    in_document = combine([hashes_in(images, "picture"), numbers_in(images, "document").view(np.uint64)])
    media = numbers_in(images, "medium")
    best = best_of_each(in_document, np.zeros(len(media)), media)
    return decide(images.take(leaving(best)), "repeated")


def _documents_by_image(images: pa.Table) -> Numbers:
    """In how many documents the picture of each image is."""
    distinct = images.group_by("picture").aggregate([("document", "count_distinct")])
    order = np.argsort(hashes_in(distinct, "picture"))
    places = order[np.searchsorted(hashes_in(distinct, "picture")[order], hashes_in(images, "picture"))]
    return numbers_in(distinct, "document_count_distinct")[places]


def _similar(hashes: Hashes, thumbnails: Thumbnails, distance: int) -> Iterator[tuple[int, int]]:
    def near(row: int) -> npt.NDArray[np.bool_]:
        return looks_like((hashes[row], thumbnails[row]), hashes[row + 1 :], thumbnails[row + 1 :], distance)

    return near_pairs(len(hashes), near)


def _bands(hashes: Hashes, distance: int) -> list[Hashes]:
    edges = np.linspace(0, BITS, distance + 2).round().astype(np.uint64)
    cut = [(hashes >> low) & np.uint64(2 ** int(high - low) - 1) for low, high in pairwise(edges)]
    return [combine([np.full_like(band, number), band]) for number, band in enumerate(cut)]
