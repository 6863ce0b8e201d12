"""Pairs to clusters: which rows of a group are near each other, and what hangs together.

What hangs together is found by one task, because it may go on through any number of groups; it holds nothing but
numbers.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.curation.columns import table_of

Value = TypeVar("Value", np.int64, np.uint64)
CROWD = 1000
"""A larger group is compared through its leaders alone."""


def near_pairs(
    count: int, near: Callable[[int], npt.NDArray[np.bool_]], crowd: int = CROWD
) -> Iterator[tuple[int, int]]:
    """The pairs (i, j), i < j, of a group of `count` rows for which `near(i)`, `bool[count - i - 1]`, says j is near i.

    All of them, up to `crowd` rows. In a larger group a row that was near an earlier one is not compared with later
    ones: what is left are leaders, no two of which are near, and each of the others near one of them. So nothing
    that should leave is kept, and a group of a million copies takes one comparison each.
    """
    led = np.zeros(count, dtype=bool)
    for row in range(count - 1):
        if count > crowd and led[row]:
            continue
        found = row + 1 + np.flatnonzero(near(row))
        led[found] = True
        for other in found:
            yield row, int(other)


def first_of_component(
    left: npt.NDArray[Value], right: npt.NDArray[Value]
) -> tuple[npt.NDArray[Value], npt.NDArray[Value]]:
    """Every value in the pairs (`left`, `right`), ascending, and beside it the smallest that it hangs together with."""
    values, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    edges = (np.ones(len(left), dtype=np.int8), (places[: len(left)], places[len(left) :]))
    _, labels = connected_components(coo_array(edges, shape=(len(values), len(values))), directed=False)
    _, firsts = np.unique(labels, return_index=True)
    return values, values[firsts[labels]]


def label(links: pa.Table, column: str) -> pa.Table:
    """What hangs together by `links`, of which each ties its `column` to its `first`.

    Columns `column`, ascending, and `cluster`, the smallest of those that hang together. Takes about 100 bytes a link.
    """
    values, firsts = first_of_component(links[column].to_numpy(), links["first"].to_numpy())
    return table_of({column: values, "cluster": firsts})


def clusters_of(rows: pa.Table, column: str, labels: pa.Table) -> npt.NDArray[Any]:
    """The cluster of the `column` of each of `rows` by `labels`; what they lack is a cluster of its own."""
    values, known = rows[column].to_numpy(), labels[column].to_numpy()
    found = np.flatnonzero(np.isin(values, known))
    clusters = values.copy()
    clusters[found] = labels["cluster"].to_numpy()[np.searchsorted(known, values[found])]
    return clusters
