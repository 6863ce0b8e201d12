"""Rows to buckets and back: none is lost, each lies where it is looked for, and order is kept."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.curation.columns import best_of_each, groups
from pipeline.curation.shuffle import read_bucket, write_buckets
from shards.errors import DatasetError
from shards.location import locate

UNSIGNED = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(files=st.lists(st.lists(UNSIGNED, max_size=20), min_size=1, max_size=3), buckets=st.integers(1, 7))
def test_every_row_comes_back_once_from_the_bucket_of_its_value_in_the_order_of_files(tmp_path_factory, files, buckets):
    folder = locate(str(tmp_path_factory.mktemp("buckets")))
    for number, values in enumerate(files):
        table = pa.table({"value": pa.array(values, pa.uint64()), "place": pa.array(range(len(values)), pa.int64())})
        write_buckets(folder / f"{number}.parquet", table, "value", buckets)
    for bucket in range(buckets):
        found = read_bucket(folder, bucket).to_pylist()
        expected = [
            {"value": value, "place": place}
            for values in files
            for place, value in enumerate(values)
            if value % buckets == bucket
        ]
        assert found == expected


def test_the_same_rows_give_the_same_bytes(tmp_path):
    table = pa.table({"value": pa.array([5, 2, 9], pa.int64()), "shingles": [[1, 2], [], [3]]})
    for name in ("a", "b"):
        write_buckets(locate(str(tmp_path / name)), table, "value", 4)
    assert Path(tmp_path, "a").read_bytes() == Path(tmp_path, "b").read_bytes()


def test_a_folder_without_evidence_and_a_file_that_is_none_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"empty holds no evidence; run the command again$"):
        read_bucket(locate(str(tmp_path / "empty")), 0)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"cut.parquet cannot be read: .*; delete it and run the command again$"):
        read_bucket(locate(str(tmp_path)), 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30))
def test_groups_are_the_values_that_occur_more_than_once(values):
    expected = [
        [place for place, other in enumerate(values) if other == value]
        for value in sorted(set(values))
        if values.count(value) > 1
    ]
    assert [group.tolist() for group in groups(np.array(values, np.int64))] == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20), st.sampled_from(["first", "last"]))
def test_of_each_value_the_worthiest_is_kept_and_of_equals_the_first_or_the_last(rows, ties):
    values, worth = (np.array([row[column] for row in rows], np.int64) for column in (0, 1))
    best = best_of_each(values, worth, np.arange(len(rows)), ties)
    for place, (value, _) in enumerate(rows):
        same = [other for other, row in enumerate(rows) if row[0] == value]
        most = max(rows[other][1] for other in same)
        equals = [other for other in same if rows[other][1] == most]
        assert best[place] == (equals[0] if ties == "first" else equals[-1])
