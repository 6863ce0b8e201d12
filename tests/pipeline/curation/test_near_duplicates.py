"""MinHash against datasketch, similarities against sets of words, pairs against brute force over real texts."""

import numpy as np
import pyarrow as pa
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.curate_duplicates import PASSAGE, THRESHOLD, found_pairs
from benchmarks.edited_documents import all_pairs, jaccard, passages, real_words, shingles, with_copies
from pipeline.curation.components import label
from pipeline.curation.near import (
    BANDS,
    ROWS,
    SHINGLES,
    bands_of,
    documents_by_cluster,
    find_groups,
    find_near,
    gather_groups,
    link_groups,
    shingles_of,
    signature_of,
    similar_pairs,
)
from shards.location import locate

HASHES = st.sets(st.integers(0, 2**64 - 1), min_size=1, max_size=60)
WORDS = st.lists(st.sampled_from("a b c d".split()), max_size=12)
NOBODY = np.empty(0, np.int64)


def ascending(hashes):
    return np.array(sorted(hashes), np.uint64)


@settings(deadline=None)
@given(HASHES)
def test_signatures_are_those_of_datasketch(hashes):
    theirs = MinHash(num_perm=128, hashfunc=int)
    theirs.update_batch([value >> 32 for value in hashes])
    assert np.array_equal(signature_of(ascending(hashes)), theirs.hashvalues)


@settings(deadline=None)
@given(WORDS, WORDS)
def test_shingles_are_the_runs_of_five_words(left, right):
    for words in (left, right):
        assert len(shingles_of(words)) == len(shingles(words)) or len(words) < 5
    if len(left) >= 5 and len(right) >= 5:
        both = np.intersect1d(shingles_of(left), shingles_of(right))
        assert len(both) == len(shingles(left) & shingles(right))


def test_short_texts_are_one_shingle_and_empty_ones_none():
    assert len(shingles_of(["two", "words"])) == 1
    assert not np.array_equal(shingles_of(["two", "words"]), shingles_of(["words", "two"]))
    assert len(shingles_of([])) == 0


def test_bands_agree_where_their_five_values_do_and_a_band_is_not_another():
    signature = np.arange(128, dtype=np.uint32)
    changed = signature.copy()
    changed[3 * ROWS] += 1
    assert (bands_of(signature) != bands_of(changed)).nonzero()[0].tolist() == [3]
    assert len(set(bands_of(np.zeros(128, np.uint32)).tolist())) == BANDS


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 12), min_size=1), min_size=2, max_size=8), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_similar_pairs_are_those_of_sets(sets, threshold):
    expected = {
        (i, j): jaccard(left, right)
        for i, left in enumerate(sets)
        for j, right in enumerate(sets)
        if i < j and jaccard(left, right) >= threshold
    }
    found = {(i, j): similarity for i, j, similarity in similar_pairs([ascending(s) for s in sets], threshold)}
    assert found == expected


def test_pairs_of_real_texts_are_found_and_no_others(material, tmp_path):
    """5,216 documents, their copies' similarities spread evenly from 0.5 to 1."""
    documents = list(with_copies(passages(real_words(material), PASSAGE), seed=1))
    similarities = all_pairs(documents, 0.5)
    copies = [similarities[pair] for pair in ((place, place + 1) for place in range(0, len(documents), 2))]
    spread, _ = np.histogram(copies, bins=10, range=(0.5, 1))
    assert len(documents) > 5000
    assert spread.min() > 0.09 * len(copies)
    truth = {pair for pair, similarity in similarities.items() if similarity >= THRESHOLD}
    found = found_pairs(documents, locate(str(tmp_path)))
    assert len(truth & found) >= 0.98 * len(truth)
    assert len(truth & found) >= 0.98 * len(found)


def test_documents_that_agree_in_a_band_are_compared_once_and_what_was_dropped_not_at_all():
    rows = pa.table({"band": pa.array([1, 1, 2, 2, 3, 3, 4], pa.uint64()), "document": [7, 5, 5, 7, 5, 9, 9]})
    members = find_groups(rows, np.array([9]))
    assert members["document"].to_pylist() == [5, 7, 5, 7]
    gathered = gather_groups(members, shingles_table((9, 0, [1]), (7, 0, [2]), (5, 0, [3, 4])))
    assert {row["document"]: row["shingles"] for row in gathered.to_pylist()} == {7: [2], 5: [3, 4]}
    assert gathered.num_rows == 2
    assert len(set(gathered["group"].to_pylist())) == 1


def shingles_table(*documents):
    """Number, worth and shingles of each; its key is a letter, `a` for number 0."""
    rows = [
        {"document": number, "key": chr(97 + number), "worth": worth, "shingles": shingles}
        for number, worth, shingles in documents
    ]
    return pa.Table.from_pylist(rows, schema=SHINGLES)


def group_of(number, table):
    """All documents of `table` in one group."""
    return table.select(["document", "shingles"]).append_column(
        "group", pa.array([number] * table.num_rows, pa.uint64())
    )


def leaving(table, *grouped, threshold):
    """Who leaves, for whom, and how similar it is to any other."""
    links = pa.concat_tables([link_groups(rows, threshold) for rows in grouped])
    rows = documents_by_cluster(links, table, label(links, "document"))
    decisions = find_near(rows, threshold).to_pylist()
    assert {(row["reason"], row["threshold"]) for row in decisions} <= {("near_text", threshold)}
    return sorted((row["key"], row["other"], round(row["measure"], 4)) for row in decisions)


def test_of_what_hangs_together_the_richest_is_kept_and_of_equals_the_first():
    ten = list(range(10))
    table = shingles_table((0, 1, ten), (1, 3, [*ten, 10]), (2, 3, [*ten, 10, 11]), (3, 9, [50, 51]))
    # a and c share 10 of 12, which is not enough: b holds them together.
    assert leaving(table, group_of(1, table), threshold=0.9) == [
        ("a", "b", round(10 / 11, 4)),
        ("c", "b", round(11 / 12, 4)),
    ]


def test_groups_of_several_buckets_hang_together_by_a_document_of_both():
    table = shingles_table((0, 5, [1, 2]), (1, 1, [1, 2]), (2, 2, [1, 2]), (3, 0, [9]))
    one, other = group_of(1, table.slice(0, 2)), group_of(2, table.slice(1, 3))
    assert leaving(table, one, other, threshold=0.8) == [("b", "a", 1), ("c", "a", 1)]
    assert leaving(table, group_of(1, table.slice(2, 2)), threshold=0.8) == []


def test_of_a_crowd_of_copies_one_is_kept():
    table = shingles_table(*((number, 0, [1, 2, 3, 10 + number % 2]) for number in range(2, 1503)))
    assert len(leaving(table, group_of(1, table), threshold=0.6)) == 1500
    assert len(leaving(table, group_of(1, table), threshold=0.7)) == 1499
