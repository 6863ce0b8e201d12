"""What is done with one shard: it is judged, and once the passes over all shards have spoken, it is written.

shard ─► judge ─► records ─► passes ─► verdicts ─► what is left of the shard, and its ledger
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.chunks import Chunk
from pipeline.curation.judge import LINES, Rules, judge, settle
from pipeline.curation.verdicts import read_verdicts
from pipeline.curation.write import keep
from pipeline.gather import WORK
from pipeline.ledger import Outcome, open_ledger, read_records
from shards.chunk import Tally
from shards.document import Document
from shards.location import Location
from shards.shard import read_shard

STAGES = ("duplicates", "pictures", "contamination")
"""The passes over all judged shards, in the order in which their verdicts count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where the tasks of a run find the shards, and leave for each other what they found out."""

    inputs: tuple[Location, ...]
    """The datasets."""
    output: Location

    def documents(self, chunk: Chunk) -> Iterator[Document]:
        """The documents of the shard that `chunk` names, in order."""
        place, name, _ = chunk.items
        return read_shard(self.inputs[place] / f"{name}.tar")

    def judged(self, chunk: Chunk) -> Location:
        """The records of a shard's documents by the rules alone, as a ledger."""
        return self.output / WORK / "judged" / f"{chunk.id}.parquet"

    def verdicts(self, stage: str) -> Location:
        """The folder with the verdicts of the pass `stage`."""
        return self.output / WORK / "verdicts" / stage

    def left(self, chunk: Chunk) -> Iterator[Document | None]:
        """What the rules leave of each document of a judged shard, in order."""
        records = read_records(self.judged(chunk))
        return (keep(document, record) for document, record in zip(self.documents(chunk), records, strict=True))


def judge_shard(workplace: Workplace, rules: Rules, chunk: Chunk) -> None:
    """Writes the records of a shard's documents, unless they stand."""
    if workplace.judged(chunk).exists():
        return
    lines = read_verdicts(workplace.verdicts(LINES), chunk.id)
    with open_ledger(workplace.judged(chunk)) as write:
        for document in workplace.documents(chunk):
            write(judge(document, rules, lines.get(document.key, ())))


def write_shard(workplace: Workplace, rules: Rules, chunk: Chunk, tally: Tally) -> Iterator[Outcome]:
    """What becomes of each document of a judged shard after all passes, in order."""
    stages = {stage: read_verdicts(workplace.verdicts(stage), chunk.id) for stage in STAGES}
    records = read_records(workplace.judged(chunk))
    for document, record in zip(workplace.documents(chunk), records, strict=True):
        settle(record, {stage: verdicts.get(document.key, ()) for stage, verdicts in stages.items()}, rules)
        yield Outcome(record=record, document=keep(document, record))
