"""What pairs have in common, counted by the passes on Ray and by brute force."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curation import pair_counts
from pipeline.curation.pair_counts import MEASURES, PairCounts, count_pairs, distinct, ranks
from pipeline.inputs.pair_table import Pair, read_pairs, write_pairs
from shards.location import locate

WORDS = "red blue green dog cat house tree car boat sky".split()


def made_up_pairs(number: int) -> list[Pair]:
    """Pairs with one or two captions of words of which the later ones are rarer."""
    chance = random.Random(5)
    weights = [2.0**-place for place in range(len(WORDS))]

    def caption() -> str:
        return " ".join(chance.choices(WORDS, weights, k=chance.randint(1, 4)))

    return [
        Pair(address=f"http://x.org/{chance.randint(0, 40)}", captions=tuple(caption() for _ in range(1 + n % 2)))
        for n in range(number)
    ]


def by_brute_force(pairs: list[Pair]) -> dict[tuple[int, int], dict[str, float]]:
    captions = [(place, number) for place, pair in enumerate(pairs) for number in range(len(pair.captions))]
    texts = {where: pairs[where[0]].captions[where[1]] for where in captions}
    images = {where: pairs[where[0]].address for where in captions}
    tokens = {where: [*text.split(), *pairwise(text.split())] for where, text in texts.items()}
    occurrences = Counter(token for found in tokens.values() for token in found)
    rank = {token: 1 + sum(other > number for other in occurrences.values()) for token, number in occurrences.items()}
    return {
        where: {
            "images_of_text": float(len({images[other] for other in captions if texts[other] == texts[where]})),
            "texts_of_image": float(len({texts[other] for other in captions if images[other] == images[where]})),
            "rarest_rank": float(max(rank[token] for token in tokens[where])),
        }
        for where in captions
    }


@pytest.mark.usefixtures("ray_cluster")
def test_counts_are_those_of_brute_force_however_the_pairs_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_counts, "RUNS_A_TASK", 2)
    pairs = made_up_pairs(150)
    table = locate(str(tmp_path / "table.parquet"))
    runs = write_pairs(table, 0, pairs, 40)
    counts = PairCounts(folder=locate(str(tmp_path / "counts")), measures=frozenset(MEASURES), captions=len(pairs))
    count_pairs(counts, runs, lambda run: read_pairs(table, run))
    found = {
        (40 * run.group + place, number): measures
        for run in runs
        for (place, number), measures in counts.of_chunk(run).items()
    }
    assert found == by_brute_force(pairs)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "counts").rglob("*.parquet")}
    count_pairs(counts, runs, lambda run: [])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "counts").rglob("*.parquet")} == before


@pytest.mark.usefixtures("ray_cluster")
def test_pairs_without_a_word_have_no_rank(tmp_path):
    table = locate(str(tmp_path / "table.parquet"))
    runs = write_pairs(table, 0, [Pair(address="http://a", captions=("",)), Pair(address="", captions=("7",))], 40)
    counts = PairCounts(folder=locate(str(tmp_path / "counts")), measures=frozenset(MEASURES), captions=2)
    count_pairs(counts, runs, lambda run: read_pairs(table, run))
    assert counts.of_chunk(runs[0])[0, 0] == {"images_of_text": 1.0, "texts_of_image": 1.0}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_distinct_values_are_counted_for_every_row(rows):
    of = np.array([first for first, _ in rows], np.uint64)
    among = np.array([second for _, second in rows], np.uint64)
    assert list(distinct(of, among)) == [len({other for first, other in rows if first == mine}) for mine, _ in rows]


def test_a_rank_is_one_more_than_the_tokens_that_occur_more_often():
    frequencies = {1: 5, 3: 2, 10: 1}  # five tokens occur once, two three times, one ten times
    assert list(ranks(np.array([10, 3, 1, 3]), frequencies)) == [1, 2, 4, 2]
