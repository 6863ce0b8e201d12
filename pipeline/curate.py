"""Datasets into a stricter one: rules, duplicates, contamination; from shards to shards, without the network.

Give thresholds in a file (--config recipes/curate/m3w.yaml). What was dropped, where and by which number, is in the
ledger: python -m pipeline.ledger OUTPUT.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from jobs.command import InputError, run_command
from jobs.connect import resolve
from pipeline.chunks import Chunk, name_chunks
from pipeline.curation.judge import Rules, judge
from pipeline.curation.write import keep
from pipeline.gather import check_owner, finish, open_output, run_chunks, without
from pipeline.ledger import Outcome
from pipeline.summary import print_summary
from shards.chunk import Tally
from shards.dataset import Dataset, open_dataset
from shards.location import Location
from shards.shard import read_shard

JOB = "pipeline.curate"


@dataclass(frozen=True, kw_only=True)
class CurateConfig(Rules):
    """A run of `pipeline.curate`."""

    input: list[str]
    """Folders or addresses of the datasets, made by any of our jobs."""
    output: str
    """Folder or address for the dataset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.input:
            raise ValueError("input names no dataset; give one or more folders or addresses")


def run(config: CurateConfig) -> None:
    """Curates the datasets, writes the new one, prints the summary."""
    inputs = [open_dataset(str(resolve("input", uri))) for uri in config.input]
    kept = without(config, "input", "output") | {"inputs": [dataset.manifest.sha256 for dataset in inputs]}
    check_owner(resolve("output", config.output), JOB, kept)
    output = open_output(config.output, JOB, kept)
    chunks = name_chunks(shards_of(inputs))
    commits = run_chunks(output, chunks, lambda: partial(write_shard, [dataset.location for dataset in inputs], config))
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)


def shards_of(inputs: Sequence[Dataset]) -> list[list[str | int]]:
    """A chunk's items for each shard: its dataset's place in the list, its name and its sha256.

    Raises InputError if no dataset holds a shard.
    """
    shards = [
        [place, shard.name, shard.sha256] for place, dataset in enumerate(inputs) for shard in dataset.manifest.shards
    ]
    if not shards:
        raise InputError("input holds no document; give datasets with at least one shard")
    return shards


def write_shard(inputs: Sequence[Location], rules: Rules, chunk: Chunk, tally: Tally) -> Iterator[Outcome]:
    """What becomes of the documents of the shard that `chunk` names, which is the work of one task."""
    place, name, _ = chunk.items
    for document in read_shard(inputs[place] / f"{name}.tar"):
        record = judge(document, rules)
        yield Outcome(record=record, document=keep(document, record))


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(CurateConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
