"""Scores of a shard on disk: a row for each number that a model gave to an image, or to an image and a paragraph."""

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.scoring.placement import Similarity
from shards.location import Location

SCORES = "scores"
"""The folder of an output in which they lie."""
SIMILARITY = "similarity"
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # of the document
        pa.field("medium", pa.int32(), nullable=False),  # the image's place among the document's media
        pa.field("name", pa.string(), nullable=False),  # of the measure
        pa.field("value", pa.float64(), nullable=False),
        pa.field("paragraph", pa.int32()),  # its place in the document, of a similarity; null of other measures
    ]
)
"""The columns of scores."""
ROWS = 50_000
"""So many scores are held before they are written: a page of 200 images and 1,000 paragraphs has 200,000."""
REQUEST, COUNTS = "request", "counts"
"""What the file's metadata say: what was asked for, and what was counted, both as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardToScore:
    """A shard, and what its scores are called."""

    id: str
    tar: Location
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A shard to score, and where the scores go."""

    shard: ShardToScore
    scores: Location
    request: Mapping[str, Any]
    """What the scores depend on: the shard's sha256 and the pinned models, as plain JSON values."""
    kept: Location | None
    """The folder in which they are kept for other runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A number that a model gave."""

    key: str
    medium: int
    name: str
    value: float
    paragraph: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentScores:
    """What models say of the images of one document."""

    measures: Mapping[int, Mapping[str, float]] = field(default_factory=dict[int, dict[str, float]])
    """By the image's place among the media."""
    similarity: Similarity = field(default_factory=dict[tuple[int, int], float])

    def of_image(self, medium: int, paragraphs: Collection[int]) -> dict[str, float]:
        """The measures of an image; `similarity` is the largest to one of `paragraphs`, those that are left."""
        compared = [
            self.similarity[pair] for paragraph in paragraphs if (pair := (medium, paragraph)) in self.similarity
        ]
        return {**self.measures.get(medium, {}), **({SIMILARITY: max(compared)} if compared else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardScores:
    """What models say of the images of one shard; made by `read_scores`."""

    table: pa.Table
    """Sorted by key."""
    rows: Mapping[str, tuple[int, int]]
    """Where in the table the rows of a document begin and how many they are, by its key."""

    def of(self, key: str) -> DocumentScores:
        """What they say of the document `key`: nothing, if it has no image."""
        measures, similarity = dict[int, dict[str, float]](), dict[tuple[int, int], float]()
        for row in self.table.slice(*self.rows.get(key, (0, 0))).to_pylist():
            if row["paragraph"] is None:
                measures.setdefault(row["medium"], {})[row["name"]] = row["value"]
            else:
                similarity[row["medium"], row["paragraph"]] = row["value"]
        return DocumentScores(measures=measures, similarity=similarity)


def scores_of(output: Location, shard: str) -> Location:
    """Where the scores of the shard with the id `shard` lie."""
    return output / SCORES / f"{shard}.parquet"


def kept_scores(folder: Location, request: Mapping[str, Any]) -> Location:
    """Where scores that answer `request` are kept for other runs."""
    return folder / f"{hashlib.sha256(_json(request).encode()).hexdigest()}.parquet"


def write_scores(
    location: Location, scores: Iterable[Score], request: Mapping[str, Any], counts: Mapping[str, int]
) -> None:
    """Puts `scores` there, with the `request` that they answer and the `counts` that were made meanwhile."""
    scores = iter(scores)
    with location.written_whole() as path, pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        while part := list(itertools.islice(scores, ROWS)):
            columns = zip(*map(attrgetter(*SCHEMA.names), part), strict=True)
            arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        writer.add_key_value_metadata({REQUEST: _json(request), COUNTS: _json(counts)})


def read_scores(location: Location) -> ShardScores:
    """The scores that lie there."""
    with location.filesystem.open_input_file(location.path) as file:
        table = pq.read_table(file).sort_by("key")
    rows, start = dict[str, tuple[int, int]](), 0
    for group in table.group_by("key", use_threads=False).aggregate([([], "count_all")]).to_pylist():  # in order
        rows[group["key"]] = (start, group["count_all"])
        start += group["count_all"]
    return ShardScores(table=table, rows=rows)


def counts_if_answered(location: Location, request: Mapping[str, Any]) -> dict[str, int] | None:
    """What was counted for the scores there; None if there are none, or they answer another request."""
    if not location.exists():
        return None
    with location.filesystem.open_input_file(location.path) as file:
        metadata = pq.read_metadata(file).metadata or {}
    if metadata.get(REQUEST.encode()) != _json(request).encode():
        return None
    return json.loads(metadata[COUNTS.encode()])


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)
