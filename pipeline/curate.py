"""Datasets into a stricter one: rules, duplicates, contamination; from shards to shards, without the network.

Give thresholds in a file (--config recipes/curate/m3w.yaml). What was dropped, where and by which number, is in the
ledger: python -m pipeline.ledger OUTPUT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs.command import InputError, run_command
from jobs.connect import resolve
from pipeline.chunks import Chunk, Work, name_chunks
from pipeline.curation.judge import Rules
from pipeline.curation.tasks import Workplace, judge_shard, write_shard
from pipeline.gather import check_owner, finish, open_output, run_chunks, without
from pipeline.summary import print_summary
from pipeline.tasks import run_tasks
from shards.dataset import Dataset, open_dataset

JOB = "pipeline.curate"
NOT_IN_DOCUMENTS = ("input", "output")
"""Settings that may change from run to run: the documents that stand do not depend on them."""


@dataclass(frozen=True, kw_only=True)
class CurateConfig(Rules):
    """A run of `pipeline.curate`."""

    input: list[str] | str
    """Folder or address of a dataset that any of our jobs made, or a list of them."""
    output: str
    """Folder or address for the dataset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.inputs:
            raise ValueError("input names no dataset; give one or more folders or addresses")

    @property
    def inputs(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


def run(config: CurateConfig) -> None:
    """Curates the datasets, writes the new one, prints the summary."""
    inputs = [open_dataset(str(resolve("input", uri))) for uri in config.inputs]
    kept = without(config, *NOT_IN_DOCUMENTS) | {"inputs": [dataset.manifest.sha256 for dataset in inputs]}
    check_owner(resolve("output", config.output), JOB, kept)
    output = open_output(config.output, JOB, kept)
    chunks = name_chunks(shards_of(inputs))
    workplace = Workplace(inputs=tuple(dataset.location for dataset in inputs), output=output.location)
    commits = run_chunks(output, chunks, lambda: prepare(workplace, config, chunks))
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)


def prepare(workplace: Workplace, config: CurateConfig, chunks: Sequence[Chunk]) -> Work:
    """Judges all shards and compares what is left of them; returns the work that writes a shard."""
    by_id = {chunk.id: chunk for chunk in chunks}
    rows = [{"id": chunk.id} for chunk in chunks]

    def judge(row: dict[str, Any]) -> None:
        judge_shard(workplace, config, by_id[row["id"]])

    run_tasks(workplace.output, rows, judge)
    return partial(write_shard, workplace, config)


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


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(CurateConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
