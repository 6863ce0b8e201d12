"""What near-duplicates are measured by: copies are as similar as was asked for, and brute force finds all pairs."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.curate_duplicates import growth_figures
from benchmarks.edited_documents import all_pairs, edited, jaccard, passages, shingles

FOREIGN = [f"foreign{number}" for number in range(50)]


@settings(deadline=None)
@given(similarity=st.floats(0.5, 1), seed=st.integers(0, 100))
def test_a_copy_is_as_similar_as_was_asked_for_or_a_little_more(similarity, seed):
    words = [f"word{number}" for number in range(190)]
    copy = edited(words, similarity, FOREIGN, random.Random(seed))
    assert similarity <= jaccard(shingles(words), shingles(copy)) < similarity + 0.01


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=6, max_size=9), max_size=6))
def test_brute_force_finds_all_pairs(documents):
    sets = [shingles(words) for words in documents]
    expected = {
        (i, j): jaccard(sets[i], sets[j])
        for j in range(len(sets))
        for i in range(j)
        if jaccard(sets[i], sets[j]) >= 0.5
    }
    assert all_pairs(documents, 0.5) == expected


def test_passages_leave_out_what_is_too_short():
    assert passages([list("abcde"), list("fg")], 2) == [["a", "b"], ["c", "d"], ["f", "g"]]


def test_growth_is_measured_on_documents_of_which_a_fifth_are_copies(material, tmp_path, ray_cluster):
    figures = growth_figures(material, tmp_path, few=1000, many=2000)
    assert figures["growth_documents_dropped"] == [200, 400]
