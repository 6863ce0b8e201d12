"""What the pairs of a whole list have in common: pictures of one text, texts of one picture, how rare its words are.

    runs of pairs ─► a task for some of them:  ─► a task for each bucket:  ─► a task for each bucket:
                     texts, images, tokens        counts of what is the same  measures of a chunk's captions

ALIGN counts so before anything is fetched (Jia et al. 2021, arXiv 2102.05918, section 3). Nothing passes through the
driver but how many tokens occur how often.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.curation.columns import Hashes, Numbers, begins, hashes_in, table_of
from pipeline.curation.exact import fingerprint, word_fingerprint
from pipeline.curation.shuffle import read_bucket, read_table, write_buckets, write_table
from pipeline.inputs.pair_table import Pair, Run
from pipeline.rules.bounds import Measure
from pipeline.rules.vocabulary import lexical_words
from pipeline.tasks import run_tasks
from shards.location import Location

RUNS_A_TASK = 100
CAPTIONS_A_BUCKET = 20_000
MEASURES: Mapping[str, Measure] = {
    "images_of_text": Measure(what="pictures that the input gives this text, by address (ALIGN: 10)", least=1),
    "texts_of_image": Measure(what="texts that the input gives this picture, by address (ALIGN: 1,000)", least=1),
    "rarest_rank": Measure(
        what="place of its rarest word or pair of words among all by how often they occur (ALIGN: 100,000,000)", least=1
    ),
}
PLACE = [("chunk", pa.int64()), ("place", pa.int32()), ("caption", pa.int32())]
"""The columns that say which caption a row is about: its chunk, its pair there, and its place among that's captions."""
SAME = pa.schema([*PLACE, ("text", pa.uint64()), ("image", pa.uint64())])
TOKENS = pa.schema([*PLACE, ("token", pa.uint64())])
MEASURED = pa.schema([*PLACE, ("value", pa.float64())])
KINDS = {"images_of_text": "texts", "texts_of_image": "images", "rarest_rank": "tokens"}
"""The evidence that each measure is taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """Where the counts of an input lie, and what is counted."""

    folder: Location
    measures: frozenset[str]
    """Of `MEASURES`."""
    captions: int
    """How many there are, about; the number of tasks follows from it."""

    @property
    def buckets(self) -> int:
        return max(4, -(-self.captions // CAPTIONS_A_BUCKET))

    def of_chunk(self, run: Run) -> Mapping[tuple[int, int], Mapping[str, float]]:
        """The measures of the captions of `run`, by the place of the pair and of its caption."""
        found, chunk = defaultdict[tuple[int, int], dict[str, float]](dict), chunk_number(run)
        for name in self.measures:
            file = self.folder / name / f"{chunk % self.buckets:05d}.parquet"
            rows = pq.read_table(file.path, filesystem=file.filesystem, filters=pc.field("chunk") == chunk)
            for row in rows.to_pylist():
                found[row["place"], row["caption"]][name] = row["value"]
        return found


def chunk_number(run: Run) -> int:
    return run.table << 32 | run.group


def count_pairs(counts: PairCounts, runs: Sequence[Run], read: Callable[[Run], Sequence[Pair]]) -> None:
    """Takes the measures of all captions of `runs`, which `read` reads; what stands is not made again."""
    folder, buckets = counts.folder, counts.buckets
    kinds = {KINDS[name] for name in counts.measures}
    groups = [runs[start : start + RUNS_A_TASK] for start in range(0, len(runs), RUNS_A_TASK)]

    def note(number: int) -> None:
        _write_evidence(folder, f"{number:05d}.parquet", groups[number], read, kinds, buckets)

    _each(folder, "noted", len(groups), note)
    for name in ("images_of_text", "texts_of_image"):
        if name in counts.measures:
            of, among = ("text", "image") if name == "images_of_text" else ("image", "text")
            _count_same(folder, name, of, among, buckets)
    if "rarest_rank" in counts.measures:
        _rank_tokens(folder, buckets)
    for name in counts.measures:
        _each(folder, name, buckets, lambda bucket, name=name: _settle(folder, name, bucket))


def distinct(of: Hashes, among: Hashes) -> Numbers:
    """For each row how many different values of `among` stand beside its value of `of`."""
    order = np.lexsort((among, of))
    same, begin = of[order], begins(of[order])
    new = begin | begins(among[order])
    totals = np.add.reduceat(new.astype(np.int64), np.flatnonzero(begin)) if len(same) else np.empty(0, np.int64)
    counted = np.empty(len(of), np.int64)
    counted[order] = totals[np.cumsum(begin) - 1]
    return counted


def ranks(occurrences: Numbers, frequencies: Mapping[int, int]) -> Numbers:
    """One more than how many tokens occur more often; `frequencies` says how many tokens occur how often."""
    known = np.array(sorted(frequencies), np.int64)
    tokens = np.array([frequencies[number] for number in known], np.int64)
    at_least = np.cumsum(tokens[::-1])[::-1]
    more_often = np.append(at_least[1:], 0)
    return 1 + more_often[np.searchsorted(known, occurrences)]


def tokens_of(text: str) -> Iterator[int]:
    """Fingerprints of the words of `text` in lower case, and of each two that follow each other."""
    words = lexical_words(text)
    yield from map(word_fingerprint, words)
    yield from (fingerprint(f"{first} {second}".encode()) for first, second in pairwise(words))


def _write_evidence(
    folder: Location,
    name: str,
    runs: Iterable[Run],
    read: Callable[[Run], Sequence[Pair]],
    kinds: Collection[str],
    buckets: int,
) -> None:
    same, tokens = list[tuple[int, ...]](), list[tuple[int, ...]]()
    for run in runs:
        for place, pair in enumerate(read(run)):
            image = fingerprint(pair.address.encode())
            for number, text in enumerate(pair.captions):
                where = chunk_number(run), place, number
                same.append((*where, fingerprint(" ".join(text.casefold().split()).encode()), image))
                if "tokens" in kinds:
                    tokens += [(*where, token) for token in tokens_of(text)]
    for kind, column in (("texts", "text"), ("images", "image")):
        if kind in kinds:
            write_buckets(folder / kind / name, _table(same, SAME), column, buckets)
    if "tokens" in kinds:
        write_buckets(folder / "tokens" / name, _table(tokens, TOKENS), "token", buckets)
    write_table(folder / "noted" / name, pa.table({"runs": [0]}))


def _count_same(folder: Location, name: str, of: str, among: str, buckets: int) -> None:
    def count(bucket: int) -> None:
        rows = read_bucket(folder / f"{of}s", bucket)
        values = distinct(hashes_in(rows, of), hashes_in(rows, among))
        write_buckets(folder / f"{name}-counted" / f"{bucket:05d}.parquet", _measured(rows, values), "chunk", buckets)

    _each(folder, f"{name}-counted", buckets, count)


def _rank_tokens(folder: Location, buckets: int) -> None:
    def count(bucket: int) -> None:
        _, occurrences = np.unique(hashes_in(read_bucket(folder / "tokens", bucket), "token"), return_counts=True)
        often, tokens = np.unique(occurrences, return_counts=True)
        table = table_of({"occurrences": often.astype(np.int64), "tokens": tokens.astype(np.int64)})
        write_table(folder / "frequencies" / f"{bucket:05d}.parquet", table)

    _each(folder, "frequencies", buckets, count)
    frequencies = defaultdict[int, int](int)
    for bucket in range(buckets):
        for row in read_table(folder / "frequencies" / f"{bucket:05d}.parquet").to_pylist():
            frequencies[row["occurrences"]] += row["tokens"]

    def rank(bucket: int) -> None:
        rows = read_bucket(folder / "tokens", bucket)
        _, token, occurrences = np.unique(hashes_in(rows, "token"), return_inverse=True, return_counts=True)
        measured = _greatest(_measured(rows, ranks(occurrences, frequencies)[token]))
        write_buckets(folder / "rarest_rank-counted" / f"{bucket:05d}.parquet", measured, "chunk", buckets)

    _each(folder, "rarest_rank-counted", buckets, rank)


def _settle(folder: Location, name: str, bucket: int) -> None:
    """Writes the measure `name` of all captions of the chunks in `bucket`."""
    rows = read_bucket(folder / f"{name}-counted", bucket)
    write_table(folder / name / f"{bucket:05d}.parquet", _greatest(rows).sort_by("chunk"))


def _each(folder: Location, target: str, count: int, task: Callable[[int], None]) -> None:
    """A task for each number below `count` whose file of `target` does not stand."""

    def run(row: dict[str, Any]) -> None:
        task(row["number"])

    standing = set((folder / target).files())
    numbers = [number for number in range(count) if f"{number:05d}.parquet" not in standing]
    run_tasks(folder, [{"id": f"{target} {number}", "number": number} for number in numbers], run)


def _measured(rows: pa.Table, values: npt.NDArray[Any]) -> pa.Table:
    columns = [rows[name] for name, _ in PLACE]
    return pa.table([*columns, pa.array(values.astype(np.float64))], schema=MEASURED)


def _greatest(rows: pa.Table) -> pa.Table:
    """One row for each caption: its greatest value."""
    names = [name for name, _ in PLACE]
    return rows.group_by(names).aggregate([("value", "max")]).rename_columns([*names, "value"]).cast(MEASURED)


def _table(rows: Sequence[tuple[int, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in schema]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
