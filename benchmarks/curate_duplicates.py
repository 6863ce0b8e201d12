"""Near-duplicates: how many of the pairs are found, how fast, and how time and memory grow with the documents.

Recall and precision are on pairs, before clusters, against brute force over more than 5,000 documents, half of them
edited copies of real texts whose similarities are spread evenly from 0.5 to 1. Growth is that of the passes as
`pipeline.curate` runs them, on documents of which a fifth are edited copies.
"""

import json
import random
import resource
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from datasketch import MinHash

from benchmarks.edited_documents import Words, all_pairs, passages, real_words, with_copies
from jobs.command import run_command
from jobs.connect import connect
from pipeline.curation import near
from pipeline.curation.columns import groups, hashes_in, numbers_in, strings_in
from pipeline.curation.contamination import LOOKS, RUNS, benchmarks_of
from pipeline.curation.copy_rules import CopyRules
from pipeline.curation.corpus import Corpus
from pipeline.curation.evidence import take_notes
from pipeline.curation.exact import words_of
from pipeline.curation.passes import find_copies
from pipeline.curation.shuffle import read_bucket
from shards.document import Document, Text, document_key
from shards.location import Location, locate

THRESHOLD = 0.8
PASSAGE = 190
"""Words of a document, before it is edited: as long as 5,000 documents allow."""
FEW, MANY = 10_000, 100_000
"""Documents between which growth is measured."""
SHARD = 1_000
"""Documents of a shard there."""
PIECES, PIECE = 15, 20
"""Runs of real text that a document there is put together from, and the words of each."""
BASE = MinHash(num_perm=near.PERMUTATIONS)
RULES = CopyRules(same_text=True, near_text=THRESHOLD)


@dataclass(frozen=True, kw_only=True)
class DuplicatesConfig:
    """A run of `benchmarks.curate_duplicates`."""

    material: Path = Path("../shared/material")
    """Folder with the real material."""
    few: int = FEW
    """Documents of the smaller of two runs from which growth is measured."""
    many: int = MANY
    """Documents of the larger one."""


def run(config: DuplicatesConfig) -> None:
    """Prints all figures as one line of JSON."""
    with TemporaryDirectory() as folder:
        figures = duplicate_figures(config.material, Path(folder, "pairs"))
        connect()
        figures |= growth_figures(config.material, Path(folder, "growth"), config.few, config.many)
    print(json.dumps(figures))


def duplicate_figures(material: Path, folder: Path) -> dict[str, Any]:
    """Recall and precision on pairs, and documents a second of one core; `folder` is for files on the way."""
    documents = list(with_copies(passages(real_words(material), PASSAGE), seed=1))
    truth, found = all_pairs(documents, THRESHOLD).keys(), found_pairs(documents, locate(str(folder)))
    texts = [" ".join(words) for words in documents]
    return {
        "near_duplicate_documents": len(documents),
        "near_duplicate_pairs": len(truth),
        "near_duplicate_recall": round(len(truth & found) / len(truth), 4),
        "near_duplicate_precision": round(len(truth & found) / len(found), 4),
        "minhash_documents_per_second": round(_rate(_sketch, texts)),
        "datasketch_documents_per_second": round(_rate(_sketch_by_datasketch, texts)),
    }


def found_pairs(documents: Sequence[Words], folder: Location) -> set[tuple[int, int]]:
    """The pairs of `documents` that the pipeline finds, by their places."""
    nothing = benchmarks_of(LOOKS.empty_table(), RUNS.empty_table())
    texts = (_document(" ".join(words), str(place)) for place, words in enumerate(documents))
    notes = take_notes(0, texts, RULES.kinds, nothing)
    notes.write(folder, "all", 1)
    members = near.find_groups(read_bucket(folder / "bands", 0), np.empty(0, np.int64))
    rows = near.gather_groups(members, read_bucket(folder / "shingles", 0))
    numbers = numbers_in(rows, "document")
    pairs = [
        sorted((int(numbers[places[i]]), int(numbers[places[j]])))
        for places in groups(hashes_in(rows, "group"))
        for i, j, _ in near.similar_pairs(near.sets_in(rows, places), THRESHOLD)
    ]
    return {(one, other) for one, other in pairs}


def growth_figures(material: Path, folder: Path, few: int = FEW, many: int = MANY) -> dict[str, Any]:
    """How many times as long `many` documents take as `few`; peaks of memory, and how many documents were dropped."""
    pieces = passages(real_words(material), PIECE)
    find_copies(_corpus(pieces, SHARD, folder / "first"), RULES)  # workers start, and import what they need
    seconds, driver, together, dropped = list[float](), list[int](), list[int](), list[int]()
    for number in (few, many):
        corpus = _corpus(pieces, number, folder / str(number))
        start = time.perf_counter()
        with _watching_memory() as memory:
            find_copies(corpus, RULES)
        seconds.append(time.perf_counter() - start)
        driver.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)
        together.append(max(memory, default=0))
        dropped.append(len(corpus.dropped(("near_text", "same_text"))))
    return {
        "time_growth_10x": round(seconds[1] / seconds[0], 2),
        "growth_seconds": [round(value, 1) for value in seconds],
        "growth_driver_peak_mb": driver,
        "growth_all_processes_peak_mb": together,
        "growth_documents_dropped": dropped,
    }


@contextmanager
def _watching_memory() -> Generator[list[int]]:
    """The megabytes that this process and all that it started have for themselves, once a second."""
    sizes, ended = list[int](), threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            sizes.append(sum(map(_own_bytes, [psutil.Process(), *psutil.Process().children(recursive=True)])) // 10**6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        ended.set()
        thread.join()


def _own_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().uss
    except psutil.Error:
        return 0


def _corpus(pieces: Sequence[Words], documents: int, folder: Path) -> Corpus:
    """So many documents, in whole shards, made of `pieces`; their texts lie in files: making them is not timed."""
    shards = tuple(f"{number:04d}" for number in range(-(-documents // SHARD)))
    folder.mkdir(parents=True)
    for number, name in enumerate(shards):
        pq.write_table(pa.table({"text": list(_texts(pieces, seed=number))}), folder / f"{name}.parquet")

    def read(number: int) -> Iterator[Document]:
        texts = strings_in(pq.read_table(folder / f"{shards[number]}.parquet"), "text")
        return (_document(text, f"{number}/{place}") for place, text in enumerate(texts))

    place = locate(str(folder))
    return Corpus(
        shards=shards, read=read, evidence=place / "evidence", verdicts=place / "verdicts", documents=documents
    )


def _texts(pieces: Sequence[Words], seed: int) -> Iterator[str]:
    """The texts of a shard; each fifth is the one before it with four words replaced."""
    source, words = random.Random(seed), list[str]()
    for place in range(SHARD):
        if place % 5 == 4:
            for _ in range(4):
                words[source.randrange(len(words))] = source.choice(source.choice(pieces))
        else:
            words = [word for piece in source.sample(pieces, PIECES) for word in piece]
        yield " ".join(words)


def _document(text: str, name: str) -> Document:
    return Document(key=document_key(name), source=f"https://example.org/{name}", blocks=(Text(text=text),))


def _rate(sketch: Callable[[str], object], texts: Sequence[str]) -> float:
    """Texts that `sketch` does in a second of CPU."""
    start = time.process_time()
    for text in texts:
        sketch(text)
    return len(texts) / (time.process_time() - start)


def _sketch(text: str) -> object:
    return near.bands_of(near.signature_of(near.shingles_of(words_of(text))))


def _sketch_by_datasketch(text: str) -> object:
    """As datasketch's documentation has it, with SHA-1 of each shingle; its permutations are drawn once."""
    words, sketch = words_of(text), BASE.copy()
    sketch.update_batch([" ".join(words[start : start + 5]).encode() for start in range(len(words) - 4)])
    return sketch.hashvalues


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(DuplicatesConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
