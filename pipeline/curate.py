"""Datasets into a stricter one: rules, duplicates, contamination; from shards to shards, without the network.

Give thresholds in a file (--config recipes/curate/m3w.yaml). What was dropped, where and by which number, is in the
ledger: python -m pipeline.ledger OUTPUT.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from jobs.command import InputError, run_command
from jobs.connect import resolve
from pipeline.chunks import Chunk, Work, name_chunks
from pipeline.curation.copy_rules import CopyRules
from pipeline.curation.corpus import Corpus
from pipeline.curation.judge import Rules
from pipeline.curation.passes import check_benchmarks, find_copies, find_repeated_lines
from pipeline.curation.tasks import VERDICTS, Workplace, judge_shard, write_shard
from pipeline.curation.write import Order
from pipeline.gather import WORK, check_owner, finish, open_output, run_chunks, without
from pipeline.rules.personal import check_region
from pipeline.rules.text import TextResources
from pipeline.scoring.stage import ShardToScore, pinned, score_shards
from pipeline.summary import print_summary
from pipeline.tasks import run_tasks
from pipeline.text_rules import open_resources
from shards.dataset import Dataset
from shards.manifest import read_manifest

JOB = "pipeline.curate"
BENCHMARKS = ("benchmark_image", "benchmark_text")
"""Reasons of what leaves because models are judged by it."""
NOT_IN_DOCUMENTS = ("input", "output")
"""Settings that may change from run to run: the documents that stand do not depend on them."""


@dataclass(frozen=True, kw_only=True)
class CurateConfig(Rules):
    """A run of `pipeline.curate`."""

    input: list[str] | str
    """Folder or address of a dataset that any of our jobs made, or a list of them."""
    output: str
    """Folder or address for the dataset."""
    copies: CopyRules = field(default_factory=CopyRules)
    """What is compared across documents."""
    order: Order = "page"
    """Where images stand: as on the page, or before their paragraph of MMC4's assignment (by scoring.similarity)."""
    personal: bool = False
    """Whether placeholders stand for e-mail addresses, phone numbers and IP addresses in texts that are kept."""
    phone_region: str = "US"
    """Whose phone numbers are known without a country's code, by ISO 3166."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_region("phone_region", self.phone_region)
        if not self.inputs:
            raise ValueError("input names no dataset; give one or more folders or addresses")
        if self.order == "similarity" and not self.scoring.similarity:
            raise ValueError("order is similarity and scoring.similarity names no model; give one, or order: page")

    @property
    def inputs(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


def run(config: CurateConfig) -> None:
    """Curates the datasets, writes the new one, prints the summary."""
    # Whatever can be refused is, before the output is claimed with settings that are to be mended.
    check_benchmarks(config.copies)
    config = replace(config, scoring=pinned(config.scoring))
    places = [resolve("input", uri) for uri in config.inputs]
    inputs = [Dataset(location=place, manifest=read_manifest(place)) for place in places]
    shards, resources = shards_of(inputs), open_resources(config.text)
    kept = without(config, *NOT_IN_DOCUMENTS) | {"inputs": [dataset.manifest.sha256 for dataset in inputs]}
    check_owner(resolve("output", config.output), JOB, kept)
    output = open_output(config.output, JOB, kept)
    chunks = name_chunks(shards)
    workplace = Workplace(inputs=tuple(places), output=output.location)
    documents = sum(dataset.manifest.documents for dataset in inputs)
    commits = run_chunks(output, chunks, lambda: prepare(workplace, config, resources, chunks, documents))
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    for reason in BENCHMARKS:
        if any(name.endswith(reason) for name in manifest.drops):
            print(f"Named, with what it is a copy of: python -m pipeline.ledger {output.location} --reason {reason}")


def prepare(
    workplace: Workplace, config: CurateConfig, resources: TextResources, chunks: Sequence[Chunk], documents: int
) -> Work:
    """Judges all shards and compares what is left of them; returns the work that writes a shard."""
    corpus = Corpus(
        shards=tuple(chunk.id for chunk in chunks),
        read=lambda place: workplace.documents(chunks[place]),
        evidence=workplace.output / WORK / "evidence",
        verdicts=workplace.output / WORK / VERDICTS,
        documents=documents,
    )
    score_shards(
        workplace.output,
        [ShardToScore(id=chunk.id, tar=workplace.tar(chunk), sha256=chunk.items[2]) for chunk in chunks],
        config.scoring,
    )
    if config.copies.paragraph_documents is not None:
        find_repeated_lines(corpus, config.copies.paragraph_documents)

    def judge(row: dict[str, Any]) -> None:
        judge_shard(workplace, config, resources, chunks[row["place"]])

    run_tasks(workplace.output, [{"id": chunk.id, "place": place} for place, chunk in enumerate(chunks)], judge)
    find_copies(replace(corpus, read=lambda place: workplace.left(chunks[place])), config.copies)
    return partial(write_shard, workplace, config, config.order, config.phone_region if config.personal else None)


def shards_of(inputs: Sequence[Dataset]) -> list[list[str | int]]:
    """A chunk's items for each shard: its dataset's place in the list, its name and its sha256.

    Raises InputError if no dataset holds a shard, or one names the files of another tool.
    """
    for dataset in inputs:
        if foreign := dataset.manifest.foreign:
            raise InputError(
                f"input {dataset.location} names the files of a set of kind {foreign['kind']} where they lie; it can "
                "be trained on but not curated: gather that set with pipeline.pairs or pipeline.interleaved first"
            )
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
