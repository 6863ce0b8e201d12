"""Passes over all documents: paragraphs that a host repeats, copies of documents and of pictures, contamination.

    shards ─► a task each: evidence ─► a task a bucket: decisions ─► verdicts by shard, for whoever writes the shards

Documents come first, pictures among what is left of them; a document that one pass drops is not there for the next.
"""

from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from jobs.command import InputError
from jobs.connect import resolve
from pipeline.curation import contamination, exact, lines, near, pictures
from pipeline.curation.columns import Ties, strings_in
from pipeline.curation.contamination import Benchmarks
from pipeline.curation.copy_rules import CopyRules
from pipeline.curation.corpus import Corpus, Transform
from pipeline.curation.decisions import document_number
from pipeline.curation.evidence import take_notes
from pipeline.curation.shuffle import read_table, write_buckets, write_table
from shards.location import Location

LINES, DUPLICATES, PICTURES, CONTAMINATION = "lines", "duplicates", "pictures", "contamination"
"""The passes, in order; a folder of verdicts each."""
EXACT: dict[str, Ties] = {"same_address": "last", "same_text": "first", "same_images": "first"}
"""The rules on documents that are the same, in order, and which of equally good ones stays."""
NEAR = "near_text"
FILES_A_TASK = 500
"""Benchmark images that a task decodes."""


def find_repeated_lines(corpus: Corpus, most: int = lines.MOST_DOCUMENTS) -> None:
    """Verdicts on paragraphs that more than `most` documents of their host have."""

    def note(shard: int, file: Location) -> None:
        documents = ((place, document) for place, document in enumerate(corpus.read(shard)) if document)
        rows = [
            row for place, document in documents for row in lines.line_rows(document, document_number(shard, place))
        ]
        write_buckets(file, pa.Table.from_pylist(rows, schema=lines.SCHEMA), "line", corpus.buckets)

    corpus.each_shard("lines", note)
    corpus.conclude(("lines",), LINES, "lines", partial(lines.find_repeated, most=most))


def find_copies(corpus: Corpus, rules: CopyRules) -> None:
    """Verdicts of the other passes, for which `rules` ask.

    Raises InputError if a benchmark's folder holds nothing to compare with, or a file of it cannot be read.
    """
    _read_benchmarks(corpus, rules)
    _take_notes(corpus, rules)
    for place, (kind, ties) in enumerate(EXACT.items()):
        if kind in rules.kinds:
            corpus.conclude((kind,), DUPLICATES, kind, _exact_copies(corpus, kind, tuple(EXACT)[:place], ties))
    if rules.near_text is not None:
        _find_near(corpus, rules.near_text)
    if "images" in rules.kinds:
        _find_pictures(corpus, rules)


def check_benchmarks(rules: CopyRules) -> None:
    """Raises InputError if a folder of benchmarks that `rules` name holds nothing to compare with."""
    for field, endings in (("benchmark_images", contamination.IMAGES), ("benchmark_texts", contamination.TEXTS)):
        if folder := getattr(rules, field):
            contamination.benchmark_files(field, resolve(field, folder), endings)


def _exact_copies(corpus: Corpus, kind: str, before: Sequence[str], ties: Ties) -> Transform:
    return lambda rows: exact.find_copies(rows, corpus.dropped(before), kind, ties)


def _find_near(corpus: Corpus, threshold: float) -> None:
    def cluster(links: pa.Table, shingles: pa.Table) -> pa.Table:
        return near.documents_by_cluster(links, shingles, corpus.labels("links"))

    corpus.reduce(("bands",), "members", "document", lambda rows: near.find_groups(rows, corpus.dropped(EXACT)))
    corpus.reduce(("members", "shingles"), "groups", "group", near.gather_groups)
    corpus.reduce(("groups",), "links", "document", partial(near.link_groups, threshold=threshold))
    corpus.label("links", "document")
    corpus.reduce(("links", "shingles"), "near", "cluster", cluster)
    corpus.conclude(("near",), DUPLICATES, NEAR, partial(near.find_near, threshold=threshold))


def _find_pictures(corpus: Corpus, rules: CopyRules) -> None:
    distance = rules.image_distance

    def contents(rows: pa.Table) -> pa.Table:
        return pictures.contents_in_bands(rows, corpus.dropped((*EXACT, NEAR)), distance)

    def cluster(rows: pa.Table) -> pa.Table:
        return pictures.images_by_picture(rows, corpus.dropped((*EXACT, NEAR)), corpus.labels("alike"))

    corpus.reduce(("images",), "contents", "band", contents)
    corpus.reduce(("contents",), "alike", "content", partial(pictures.link_contents, distance=distance))
    corpus.label("alike", "content")
    corpus.reduce(("images",), "pictures", "picture", cluster)
    if (most := rules.image_documents) is not None:
        corpus.conclude(("pictures",), PICTURES, "frequent", partial(pictures.find_frequent, most=most))
    if rules.repeated_images:
        corpus.conclude(("pictures",), PICTURES, "repeated", pictures.find_repeated)


def _take_notes(corpus: Corpus, rules: CopyRules) -> None:
    def note(shard: int) -> None:
        # Decided last, so that all of its evidence stands if its decisions do.
        if corpus.decided(CONTAMINATION, name := corpus.shards[shard]):
            return
        notes = take_notes(shard, corpus.read(shard), rules.kinds, _benchmarks(corpus))
        notes.write(corpus.evidence, name, corpus.buckets)
        corpus.decide(PICTURES, f"broken-{name}", notes.decisions("broken_image"))
        found = [notes.decisions(reason) for reason in ("benchmark_text", "benchmark_image")]
        corpus.decide(CONTAMINATION, name, pa.concat_tables(found))

    if rules.kinds or rules.benchmark_images or rules.benchmark_texts:
        corpus.each(note, len(corpus.shards))


def _read_benchmarks(corpus: Corpus, rules: CopyRules) -> None:
    if rules.benchmark_images:
        folder = resolve("benchmark_images", rules.benchmark_images)
        files = contamination.benchmark_files("benchmark_images", folder, contamination.IMAGES)
        runs = [files[start : start + FILES_A_TASK] for start in range(0, len(files), FILES_A_TASK)]

        def look(number: int) -> None:
            file = corpus.evidence / "looks" / f"{number:05d}.parquet"
            write_table(file, contamination.looks_of(folder, runs[number]))

        corpus.each(look, len(runs))
        if refused := [error for error in strings_in(_read_folder(corpus.evidence / "looks"), "error") if error]:
            raise InputError(refused[0])
    if rules.benchmark_texts:
        folder = resolve("benchmark_texts", rules.benchmark_texts)
        files = contamination.benchmark_files("benchmark_texts", folder, contamination.TEXTS)
        write_table(corpus.evidence / "runs" / "00000.parquet", contamination.runs_of("benchmark_texts", folder, files))


def _benchmarks(corpus: Corpus) -> Benchmarks:
    looks, runs = (corpus.evidence / name for name in ("looks", "runs"))
    return contamination.benchmarks_of(
        _read_folder(looks) if looks.files() else contamination.LOOKS.empty_table(),
        _read_folder(runs) if runs.files() else contamination.RUNS.empty_table(),
    )


def _read_folder(folder: Location) -> pa.Table:
    return pa.concat_tables([read_table(folder / name) for name in folder.files() if name.endswith(".parquet")])
