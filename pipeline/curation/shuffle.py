"""Rows to the task that needs them: every task of a stage writes one file, with a row group for each task of the next.

Nothing passes through the driver, and a task that is done again writes the same file: rows keep their order, files are
read in the order of their names.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shards.errors import DatasetError
from shards.location import Location


def write_buckets(location: Location, table: pa.Table, column: str, buckets: int) -> None:
    """Writes `table` to a file of `buckets` row groups, each row in that of its `column`, an integer, modulo them."""
    numbers = table[column].to_numpy() % buckets
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(buckets + 1))
    with (
        location.written_whole() as path,
        pq.ParquetWriter(path, table.schema, compression="zstd", write_statistics=False) as writer,
    ):
        for start, stop in pairwise(starts):
            # Cut before it is taken: a column of lists may be too long for one array in another order.
            rows = table.take(order[start:stop])
            writer.write_table(rows, row_group_size=max(1, rows.num_rows))


def read_bucket(folder: Location, number: int) -> pa.Table:
    """The rows of bucket `number` of all files in `folder`. Raises DatasetError if there is no file."""
    names = [name for name in folder.files() if name.endswith(".parquet")]
    if not names:
        raise DatasetError(f"{folder} holds no evidence; run the command again")
    return pa.concat_tables([_open(folder / name).read_row_group(number) for name in names]).combine_chunks()


def write_table(location: Location, table: pa.Table) -> None:
    """Writes `table` to a file as one bucket, whole or not at all."""
    with location.written_whole() as path:
        pq.write_table(table, path, compression="zstd")


def read_table(location: Location) -> pa.Table:
    """The rows of one file."""
    return _open(location).read()


def _open(location: Location) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(location.path, filesystem=location.filesystem)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{location} cannot be read: {error}; delete it and run the command again") from None
