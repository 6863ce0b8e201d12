"""The documents that are compared with each other, and the tasks that do it: shards to buckets, buckets to buckets.

Every task writes one file, whole or not at all; one that stands is not made again, so that a rerun goes on where it
was. No row passes through the driver.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.curation.columns import Numbers, numbers_in
from pipeline.curation.components import label
from pipeline.curation.decisions import verdicts_of
from pipeline.curation.shuffle import read_bucket, read_table, write_buckets, write_table
from pipeline.tasks import run_tasks
from shards.document import Document
from shards.location import Location

DOCUMENTS_A_BUCKET = 20_000
"""A task that reduces holds the evidence of about so many documents: 100 MB of shingles at 500 words each."""
Transform = Callable[..., pa.Table]
"""From the tables of one bucket to one table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The documents, and where tasks leave what they find."""

    shards: tuple[str, ...]
    """Their shards' names, in order."""
    read: Callable[[int], Iterable[Document | None]]
    """The documents of a shard, by its place among `shards`; None stands for one that has left."""
    evidence: Location
    """Folder for what only the passes need."""
    verdicts: Location
    """Folder for a folder of verdicts from each pass. Places in them are those in the documents that were read."""
    documents: int
    """How many there are, about; the number of tasks follows from it."""

    @property
    def buckets(self) -> int:
        return max(4, -(-self.documents // DOCUMENTS_A_BUCKET))

    def each_shard(self, kind: str, note: Callable[[int, Location], None]) -> None:
        """A task for each shard, which writes the file that it is given; its name is the shard's."""

        def task(number: int) -> None:
            file = self.evidence / kind / f"{self.shards[number]}.parquet"
            if not file.exists():
                note(number, file)

        self.each(task, len(self.shards))

    def reduce(self, sources: tuple[str, ...], target: str, column: str, transform: Transform) -> None:
        """A task for each bucket of the evidence `sources`: what `transform` makes of it is in `target`."""

        def task(bucket: int) -> None:
            file = self.evidence / target / f"{bucket:05d}.parquet"
            if not file.exists():
                write_buckets(file, transform(*self._bucket(sources, bucket)), column, self.buckets)

        self.each(task, self.buckets)

    def conclude(self, sources: tuple[str, ...], stage: str, kind: str, transform: Transform) -> None:
        """A task for each bucket of the evidence `sources`: what `transform` makes of it are decisions of `stage`."""

        def task(bucket: int) -> None:
            name = f"{kind}-{bucket:05d}"
            if not self.decided(stage, name):
                self.decide(stage, name, transform(*self._bucket(sources, bucket)))

        self.each(task, self.buckets)

    def each(self, task: Callable[[int], None], count: int) -> None:
        """Runs `task` on the numbers below `count`, each in a task of Ray Data."""

        def run(row: dict[str, Any]) -> None:
            task(row["number"])

        run_tasks(
            self.evidence, [{"id": f"part {number} of {count}", "number": number} for number in range(count)], run
        )

    def decide(self, stage: str, name: str, decisions: pa.Table) -> None:
        """Writes `decisions` of the pass `stage` as verdicts, and for later passes which documents leave by them."""
        whole = (numbers_in(decisions, "medium") < 0) & (numbers_in(decisions, "paragraph") < 0)
        leaving = decisions.select(["document"]).filter(pa.array(whole))
        write_table(self.evidence / "dropped" / f"{name}.parquet", leaving)
        write_table(self.verdicts / stage / f"{name}.parquet", verdicts_of(decisions, self.shards))

    def decided(self, stage: str, name: str) -> bool:
        return (self.verdicts / stage / f"{name}.parquet").exists()

    def dropped(self, kinds: Iterable[str]) -> Numbers:
        """The documents that decisions of `kinds` drop, ascending: 8 bytes each."""
        folder, kinds = self.evidence / "dropped", tuple(f"{kind}-" for kind in kinds)
        files = [folder / name for name in folder.files() if name.startswith(kinds)]
        tables = [numbers_in(read_table(file), "document") for file in files]
        return np.unique(np.concatenate([np.empty(0, np.int64), *tables]))

    def label(self, source: str, column: str) -> None:
        """One task: what hangs together by the links `source` of `column`, for `labels`."""

        def task(_: int) -> None:
            if not self._labels(source).exists():
                links = [read_bucket(self.evidence / source, bucket) for bucket in range(self.buckets)]
                write_table(self._labels(source), label(pa.concat_tables(links), column))

        self.each(task, 1)

    def labels(self, source: str) -> pa.Table:
        """What `label` found."""
        return read_table(self._labels(source))

    def _labels(self, source: str) -> Location:
        return self.evidence / "labels" / f"{source}.parquet"

    def _bucket(self, sources: tuple[str, ...], bucket: int) -> list[pa.Table]:
        return [read_bucket(self.evidence / source, bucket) for source in sources]
