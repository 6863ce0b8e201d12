"""What is done with one shard: it is judged, and once the passes over all shards have spoken, it is written.

shard ─► judge ─► records ─► passes ─► verdicts ─► what is left of the shard, and its ledger
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.chunks import Chunk
from pipeline.curation.judge import LINES, NO_SCORES, Rules, judge, settle
from pipeline.curation.passes import CONTAMINATION, DUPLICATES, PICTURES
from pipeline.curation.verdicts import read_verdicts
from pipeline.curation.write import Order, keep, without_personal
from pipeline.gather import WORK
from pipeline.ledger import Outcome, open_ledger, read_records
from pipeline.rules.text import TextResources
from pipeline.scoring.scores import ShardScores, read_scores, scores_of
from shards.chunk import Tally
from shards.document import Document
from shards.location import Location
from shards.shard import read_shard

VERDICTS = "verdicts"
STAGES = (DUPLICATES, PICTURES, CONTAMINATION)
"""The passes over all judged shards, in the order in which their verdicts count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where the tasks of a run find the shards, and leave for each other what they found out."""

    inputs: tuple[Location, ...]
    """The datasets."""
    output: Location

    def tar(self, chunk: Chunk) -> Location:
        """The shard that `chunk` names."""
        place, name, _ = chunk.items
        return self.inputs[place] / f"{name}.tar"

    def documents(self, chunk: Chunk) -> Iterator[Document]:
        """The documents of the shard, in order."""
        return read_shard(self.tar(chunk))

    def judged(self, chunk: Chunk) -> Location:
        """The records of a shard's documents by the rules alone, as a ledger."""
        return self.output / WORK / "judged" / f"{chunk.id}.parquet"

    def verdicts(self, stage: str) -> Location:
        """The folder with the verdicts of the pass `stage`."""
        return self.output / WORK / VERDICTS / stage

    def left(self, chunk: Chunk) -> Iterator[Document | None]:
        """What the rules leave of each document of a judged shard, in order."""
        records = read_records(self.judged(chunk))
        return (keep(document, record) for document, record in zip(self.documents(chunk), records, strict=True))

    def scores(self, chunk: Chunk) -> ShardScores | None:
        """What models say of the shard's images; None if none was asked."""
        scores = scores_of(self.output, chunk.id)
        return read_scores(scores) if scores.exists() else None


def judge_shard(workplace: Workplace, rules: Rules, resources: TextResources, chunk: Chunk) -> None:
    """Writes the records of a shard's documents, unless they stand."""
    if workplace.judged(chunk).exists():
        return
    lines, scores = read_verdicts(workplace.verdicts(LINES), chunk.id), workplace.scores(chunk)
    with open_ledger(workplace.judged(chunk)) as write:
        for document in workplace.documents(chunk):
            said = scores.of(document.key) if scores else NO_SCORES
            write(judge(document, rules, resources, lines=lines.get(document.key, ()), scores=said))


def write_shard(
    workplace: Workplace, rules: Rules, order: Order, phone_region: str | None, chunk: Chunk, tally: Tally
) -> Iterator[Outcome]:
    """What becomes of each document of a judged shard after all passes, in order.

    With `phone_region` placeholders stand for what is personal in what is kept.
    """
    stages = {stage: read_verdicts(workplace.verdicts(stage), chunk.id) for stage in STAGES}
    records = read_records(workplace.judged(chunk))
    for document, record in zip(workplace.documents(chunk), records, strict=True):
        settle(record, {stage: verdicts.get(document.key, ()) for stage, verdicts in stages.items()}, rules)
        tally.count("documents_read")
        kept = keep(document, record, order)
        if kept and phone_region:
            kept = without_personal(kept, phone_region, tally)
        yield Outcome(record=record, document=kept)
