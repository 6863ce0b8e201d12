"""Documents of nearly the same text: MinHash proposes, the exact Jaccard similarity of 5-word shingles decides.

    text ─► shingles ─► signature ─► bands ─► groups that agree in a band ─► exact similarity ─► clusters, one kept

Lee et al. 2022 (arXiv 2107.06499, section 4.2) deduplicate text so, with other bands. With 25 bands of 5 a pair of
similarity s shares a band with probability 1 - (1 - s^5)^25: 0.99995 at 0.8, 0.34 at 0.5.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasketch import MinHash

from pipeline.curation.columns import Hashes, Numbers, best_of_each, groups, hashes_in, leaving, numbers_in, table_of
from pipeline.curation.components import CROWD, clusters_of, first_of_component, near_pairs
from pipeline.curation.decisions import decide, without
from pipeline.curation.exact import fingerprint, word_fingerprint

SHINGLE = 5
"""Words in a shingle."""
PERMUTATIONS, BANDS, ROWS = 128, 25, 5
"""Values in a signature; bands of it, each of so many values. The last three values are in no band."""
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying loses nothing; the golden ratio's bits (Knuth, The Art of Computer Programming, 6.4)."""
Signature = npt.NDArray[np.uint32]
FACTORS, SUMMANDS = np.asarray(MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32").permutations)[:, :, None]
SHINGLES = pa.schema(
    [
        pa.field("document", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("worth", pa.int64(), nullable=False),
        pa.field("shingles", pa.list_(pa.uint64()), nullable=False),
    ]
)
LINKS = pa.schema(
    [
        pa.field("document", pa.int64(), nullable=False),
        pa.field("first", pa.int64(), nullable=False),  # a document with which it hangs together
        pa.field("similarity", pa.float64(), nullable=False),  # to the nearest
    ]
)


def combine(columns: Sequence[Hashes]) -> Hashes:
    """A hash of each row of `columns`; it depends on their order."""
    combined = np.zeros_like(columns[0])
    for column in columns:
        combined = (combined ^ column) * MULTIPLIER
    return combined ^ (combined >> np.uint64(32))


def shingles_of(words: Sequence[str], size: int = SHINGLE) -> Hashes:
    """The set of the runs of `size` words, as 64-bit hashes, ascending; fewer words are one run, none are none."""
    hashes = np.fromiter(map(word_fingerprint, words), dtype=np.uint64, count=len(words))
    length = min(size, len(words))
    runs = len(words) - length + 1
    return np.unique(combine([hashes[start : start + runs] for start in range(length)])) if words else hashes


def signature_of(shingles: Hashes) -> Signature:
    """`uint32[128]`: what datasketch's MinHash gives for the upper halves of `shingles`, at least one.

    Its default scheme (affine32, datasketch 2.0): MurmurHash3's finalizer, then an affine permutation modulo 2^32.
    """
    mixed = (shingles >> np.uint64(32)).astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    mixed ^= mixed >> np.uint32(16)
    return (FACTORS * mixed + SUMMANDS).min(axis=1)


def bands_of(signature: Signature) -> Hashes:
    """`uint64[25]`: a hash of each band of `signature`, which differs from band to band."""
    bands = signature[: BANDS * ROWS].reshape(BANDS, ROWS).astype(np.uint64)
    return combine([np.arange(BANDS, dtype=np.uint64), *bands.T])


def find_groups(rows: pa.Table, dropped: Numbers) -> pa.Table:
    """The documents that agree in a band, as rows of `document` and `group`.

    `rows` have the columns `band` and `document`. Groups of the same documents have the same number, so that they are
    compared once.
    """
    rows = without(rows, dropped)
    documents = numbers_in(rows, "document")
    found = [np.sort(documents[places]) for places in groups(hashes_in(rows, "band"))]
    numbers = [fingerprint(members.tobytes()) for members in found]
    members = np.concatenate([np.empty(0, np.int64), *found])
    group = np.repeat(np.array(numbers, np.uint64), [len(members) for members in found])
    return table_of({"document": members, "group": group})


def gather_groups(members: pa.Table, shingles: pa.Table) -> pa.Table:
    """Each row of `members`, once, with the `shingles` of its document."""
    distinct = members.group_by(["document", "group"]).aggregate([])
    return distinct.append_column("shingles", shingles["shingles"].take(_places_of(distinct, shingles)))


def link_groups(rows: pa.Table, threshold: float) -> pa.Table:
    """The documents in `rows`, as `gather_groups` gives them, that are similar to another one of their group.

    In the columns of `LINKS`, group by group.
    """
    documents = numbers_in(rows, "document")
    links = [
        _links(documents[places], list(similar_pairs(sets_in(rows, places), threshold)))
        for places in groups(hashes_in(rows, "group"))
    ]
    return pa.concat_tables([LINKS.empty_table(), *links])


def sets_in(rows: pa.Table, places: Numbers) -> list[Hashes]:
    """The `shingles` of the rows at `places`."""
    return [hashes.values.to_numpy() for hashes in rows["shingles"].take(places)]


def similar_pairs(sets: Sequence[Hashes], threshold: float, crowd: int = CROWD) -> Iterator[tuple[int, int, float]]:
    """The pairs (i, j), i < j, of `sets` of distinct hashes whose Jaccard similarity is at least `threshold`, with it.

    In more than `crowd` sets not all pairs, as `near_pairs` says.
    """
    sizes = np.array([len(hashes) for hashes in sets])
    names, codes = np.unique(np.concatenate(sets), return_inverse=True)
    starts = np.cumsum(sizes) - sizes
    similarities = dict[int, npt.NDArray[np.float64]]()
    held = np.zeros(len(names), dtype=bool)

    def near(row: int) -> npt.NDArray[np.bool_]:
        own = codes[starts[row] : starts[row] + sizes[row]]
        held[own] = True
        shared = np.add.reduceat(held[codes[starts[row + 1] :]], starts[row + 1 :] - starts[row + 1], dtype=np.int64)
        held[own] = False
        similarities[row] = shared / (sizes[row] + sizes[row + 1 :] - shared)
        return similarities[row] >= threshold

    for i, j in near_pairs(len(sets), near, crowd):
        yield i, j, float(similarities[i][j - i - 1])


def documents_by_cluster(links: pa.Table, shingles: pa.Table, labels: pa.Table) -> pa.Table:
    """The documents in `links`, once, with key, worth and greatest `similarity`, and their `cluster` by `labels`."""
    nearest = links.group_by("document").aggregate([("similarity", "max")])
    known = shingles.select(["document", "key", "worth"]).take(_places_of(nearest, shingles))
    clusters = pa.array(clusters_of(nearest, "document", labels))
    return known.append_column("similarity", nearest["similarity_max"]).append_column("cluster", clusters)


def find_near(rows: pa.Table, threshold: float) -> pa.Table:
    """Decisions on the documents in `rows`, as `documents_by_cluster` gives them: one of each cluster is kept.

    That is the one with the most media, then the most words, then the first. The measure is the greatest similarity
    to any other document, whether or not that is the kept one.
    """
    best = best_of_each(numbers_in(rows, "cluster"), numbers_in(rows, "worth"), numbers_in(rows, "document"))
    places = leaving(best)
    gone, kept = rows.take(places), rows.take(best[places])
    return decide(gone, "near_text", measure=gone["similarity"], threshold=threshold, other=kept["key"])


def _links(documents: Numbers, pairs: Sequence[tuple[int, int, float]]) -> pa.Table:
    """`pairs` of places in `documents`, as a row for each document."""
    left, right = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    nearest = np.zeros(len(documents))
    for ends in (left, right):
        np.maximum.at(nearest, ends, [similarity for _, _, similarity in pairs])
    linked, firsts = first_of_component(left, right)
    return table_of({"document": documents[linked], "first": documents[firsts], "similarity": nearest[linked]}).cast(
        LINKS
    )


def _places_of(rows: pa.Table, table: pa.Table) -> Numbers:
    """Where in `table`, which has a row for each, the documents of `rows` are."""
    known = numbers_in(table, "document")
    order = np.argsort(known)
    return order[np.searchsorted(known[order], numbers_in(rows, "document"))]
