"""What a pass over many documents says of one of them: that it, a paragraph or a medium of it leaves, and why.

A pass writes its verdicts as Parquet files into a folder of its own; a task reads those of its shard alone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.ledger import Entry, Record
from shards.location import Location

MEDIA = ("image", "video")
"""Kinds of entries that are media."""
SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),  # the id of the shard's chunk
        pa.field("key", pa.string(), nullable=False),  # of the document
        pa.field("medium", pa.int32(), nullable=False),  # its place among the media that the pass was shown, or -1
        pa.field("paragraph", pa.int32(), nullable=False),  # its place among the paragraphs, or -1
        pa.field("reason", pa.string(), nullable=False),
        pa.field("measure", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("other", pa.string(), nullable=False),  # of what it is a copy: a document's key, or a file
    ]
)
"""The columns of verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why something leaves; without `medium` and `paragraph` it is the document."""

    reason: str
    medium: int = -1
    paragraph: int = -1
    measure: float | None = None
    threshold: float | None = None
    other: str = ""


def read_verdicts(folder: Location, shard: str) -> Mapping[str, list[Verdict]]:
    """The verdicts in `folder` on documents of `shard`, by key, in the order of the files' names and rows."""
    found = defaultdict[str, list[Verdict]](list)
    for name in folder.files():
        file = folder / name
        table = pq.read_table(file.path, filesystem=file.filesystem, filters=pc.field("shard") == shard)
        for row in table.to_pylist():
            del row["shard"]
            found[row.pop("key")].append(Verdict(**row))
    return found


def apply_verdicts(record: Record, verdicts: Mapping[str, Sequence[Verdict]]) -> None:
    """Drops from `record` what `verdicts` name, by the pass that they are of; of several on one thing the first counts.

    Places are those among the media and paragraphs that `record` keeps now, which is what the passes were shown.
    """
    media, paragraphs = _places(record, *MEDIA), _places(record, "paragraph")
    for stage, found in verdicts.items():
        for verdict in found:
            place = len(record.entries) - 1
            if verdict.medium >= 0:
                place = media[verdict.medium]
            elif verdict.paragraph >= 0:
                place = paragraphs[verdict.paragraph]
            if not record.entries[place].reason:
                record.entries[place] = _dropped(record.entries[place], stage, verdict)


def _places(record: Record, *kinds: str) -> list[int]:
    """Where in `record` the entries of `kinds` are that it keeps."""
    return [place for place, entry in enumerate(record.entries) if entry.kind in kinds and not entry.reason]


def _dropped(entry: Entry, stage: str, verdict: Verdict) -> Entry:
    return replace(
        entry,
        reason=verdict.reason,
        stage=stage,
        measure=verdict.measure,
        threshold=verdict.threshold,
        other=verdict.other,
    )
