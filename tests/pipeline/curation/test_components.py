"""Pairs within groups, and what hangs together, against brute force and networkx."""

import networkx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.curation.components import first_of_component, near_pairs

NODES = st.integers(0, 15)


def close(values, distance=1):
    array = np.array(values)
    return lambda row: np.abs(array[row + 1 :] - array[row]) <= distance


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=25))
def test_up_to_a_crowd_all_pairs_are_found(values):
    expected = {
        (i, j) for i in range(len(values)) for j in range(i + 1, len(values)) if abs(values[i] - values[j]) <= 1
    }
    assert set(near_pairs(len(values), close(values), crowd=25)) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=3, max_size=25))
def test_in_a_crowd_leaders_are_far_from_each_other_and_all_others_near_one(values):
    pairs = list(near_pairs(len(values), close(values), crowd=2))
    led = {other for _, other in pairs}
    leaders = [row for row in range(len(values)) if row not in led]
    assert {leader for leader, _ in pairs} <= set(leaders)
    assert all(abs(values[i] - values[j]) > 1 for i in leaders for j in leaders if i != j)


def test_a_crowd_of_copies_takes_one_comparison_for_each():
    pairs = list(near_pairs(1001, close([7] * 1001)))
    assert pairs == [(0, other) for other in range(1, 1001)]


@settings(deadline=None)
@given(st.lists(st.tuples(NODES, NODES), max_size=20))
def test_components_are_those_of_networkx(edges):
    left, right = (np.array([edge[side] for edge in edges], np.int64) for side in (0, 1))
    values, firsts = first_of_component(left, right)
    expected = {
        node: min(component) for component in networkx.connected_components(networkx.Graph(edges)) for node in component
    }
    assert dict(zip(values.tolist(), firsts.tolist(), strict=True)) == expected
    assert sorted(expected) == values.tolist()
