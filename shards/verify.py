"""Holds every byte of a dataset against its manifest and index: `python -m shards.verify data/m3w`.

A shard is read once from end to end: its sha256 and that of its index, every member of its tar, every document against
the schema, and every row of the index against the document that lies where it says. What is wrong with a shard is one
sentence; the exit code is 1 if there is any, 2 if there is no dataset.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence

from shards.dataset import Dataset, of_shard, open_dataset
from shards.errors import DatasetError, ShardError
from shards.index import index_row
from shards.location import Location
from shards.reading import PieceStream
from shards.shard import ShardRecord, decode_run
from shards.tar import read_runs


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each shard with a fault, then how much was read."""
    parser = argparse.ArgumentParser(prog="python -m shards.verify", description=__doc__)
    parser.add_argument("dataset", help="folder or address of a finished dataset")
    parser.add_argument(
        "--shard", action="append", help="only this shard, by its name in the manifest; may be repeated"
    )
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    try:
        dataset = open_dataset(arguments.dataset)
        shards = chosen(dataset, arguments.shard)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    faults = 0
    for fault in find_faults(dataset, shards):
        print(fault, flush=True)
        faults += 1
    total = sum(shard.bytes for shard in shards)
    seconds = time.monotonic() - started
    print(
        f"{len(shards)} shards, {sum(shard.documents for shard in shards)} documents, {total / 1e6:.1f} MB "
        f"in {seconds:.1f} s: {faults or 'no'} shards with a fault"
    )
    return 1 if faults else 0


def chosen(dataset: Dataset, names: Sequence[str] | None) -> tuple[ShardRecord, ...]:
    """The records of the shards `names`, or of all. Raises DatasetError for a name that the manifest lacks."""
    shards = {shard.name: shard for shard in dataset.manifest.shards}
    for name in names or ():
        if name not in shards:
            raise DatasetError(f"the manifest of {dataset.location} names no shard {name!r}")
    return tuple(shards[name] for name in names) if names else dataset.manifest.shards


def find_faults(dataset: Dataset, shards: Sequence[ShardRecord]) -> Iterator[ShardError]:
    """What is wrong with those of `shards` that are not whole, the first thing of each."""
    for shard in shards:
        try:
            verify_shard(dataset, shard)
        except ShardError as fault:
            yield fault


def verify_shard(dataset: Dataset, shard: ShardRecord) -> None:
    """Raises ShardError if shard and index are not, byte by byte, what the manifest says."""
    with of_shard(shard.name):
        tar, rows = dataset.tar_of(shard), dataset.index_of(shard).to_pylist()
        if len(rows) != shard.documents:
            raise DatasetError(f"the index of {tar} has {len(rows)} rows and the manifest says {shard.documents}")
        digest = _digest_of_foreign(dataset, shard, tar) if dataset.manifest.foreign else _digest(tar, rows)
        if digest != shard.sha256:
            raise DatasetError(
                f"{tar} was changed: its sha256 is {digest}, by the manifest {shard.sha256}; make the dataset again"
            )


def _digest(tar: Location, rows: list[dict[str, object]]) -> str:
    """The sha256 of the tar, whose documents are compared with the index on the way."""
    with tar.open() as stream:
        hashed = _Hashed(stream)
        _compare(tar, hashed, stream.size, rows)
        return hashed.hexdigest()


def _digest_of_foreign(dataset: Dataset, shard: ShardRecord, file: Location) -> str:
    """The sha256 of a file of a foreign set, whose records are all read on the way."""
    for _ in dataset.shard_documents(shard.name):
        pass
    return file.sha256()


def _compare(tar: Location, stream: "_Hashed", size: int, rows: list[dict[str, object]]) -> None:
    """Raises DatasetError unless each document of the tar has its row of the index, and no row is left."""
    number = 0
    for run in read_runs(stream, size, str(tar), ended=True):
        found = index_row(decode_run(run, str(tar)), run.offset, run.size)
        if number < len(rows) and rows[number] != found:
            field = next(name for name in found if found[name] != rows[number][name])
            raise DatasetError(
                f"{tar}, document {run.key}: row {number} of the index has {field} {rows[number][field]!r} "
                f"and the tar {found[field]!r}; make the dataset again"
            )
        number += 1
    if number != len(rows):
        raise DatasetError(f"{tar} holds {number} documents and its index {len(rows)} rows; make the dataset again")


class _Hashed:
    """A stream, and the sha256 of what was read of it."""

    def __init__(self, stream: PieceStream) -> None:
        self._stream, self._sha256 = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._sha256.update(data)
        return data

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
