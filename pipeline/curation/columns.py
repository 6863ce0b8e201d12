"""Columns of evidence as arrays: documents are 64-bit numbers, what has to be the same is a 64-bit hash."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Ties = Literal["first", "last"]
"""Which of equally good ones is kept."""


def numbers_in(table: pa.Table, column: str) -> Numbers:
    """The signed integers of `column`, which holds no null."""
    return table[column].to_numpy().astype(np.int64, copy=False)


def hashes_in(table: pa.Table, column: str) -> Hashes:
    """The unsigned integers of `column`, which holds no null."""
    return table[column].to_numpy().astype(np.uint64, copy=False)


def strings_in(table: pa.Table, column: str) -> list[str]:
    """The strings of `column`, which holds no null."""
    return cast(list[str], table[column].to_pylist())


def table_of(columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    return pa.Table.from_arrays([pa.array(values) for values in columns.values()], names=list(columns))


def groups(values: Numbers | Hashes) -> Iterator[Numbers]:
    """The places of each value that occurs more than once, in the order of the values; places in their own order."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(begins(values[order]))
    stops = np.append(starts[1:], len(order))[: len(starts)]
    several = stops - starts > 1
    for start, stop in zip(starts[several], stops[several], strict=True):
        yield order[start:stop]


def begins(ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """`bool[n]`: where another value begins in `ordered`."""
    return np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]


def best_of_each(values: Numbers | Hashes, worth: npt.NDArray[Any], order: Numbers, ties: Ties = "first") -> Numbers:
    """For each row the place of the row that is kept of those of its value: that of the greatest worth.

    Of several of equal worth it is the first or the last by `order`.
    """
    places = np.lexsort((order if ties == "first" else -order, -worth, values))
    begin = begins(values[places])
    best = np.empty(len(places), dtype=np.int64)
    best[places] = places[begin][np.cumsum(begin) - 1]
    return best


def leaving(best: Numbers) -> Numbers:
    """The places of the rows of which, by `best_of_each`, another one is kept."""
    return np.flatnonzero(best != np.arange(len(best)))
