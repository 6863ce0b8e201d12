"""The loader: windows of pages per second of one core, beside webdataset and beside the decoding of JPEGs alone.

    photographs, text ──► one dataset ──► this loader ─────────────────────────┐
                                     ├──► webdataset and a DataLoader ─────────┼──► samples and images a CPU-second
                                     └──► Pillow decodes the same JPEGs alone ─┘
    a manifest of 100,000 shards ──► a fresh process ──► seconds and memory until its first batch

All sides give uint8 RGB in squares of one size, made smaller by Pillow's bicubic filter, padded with one colour.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

import psutil

from benchmarks.illustrated_pages import find_photographs, find_words, train_vocabulary, write_pages
from benchmarks.loader_peer import draft_decode, webdataset_batches
from benchmarks.loader_start import simulate_shards
from benchmarks.report import machine
from jobs.command import InputError, run_command
from model.batch import FlamingoBatch
from model.config import FlamingoConfig
from shards.document import Frame
from training.config import DatasetConfig, TrainingConfig
from training.data.mixture import Part, load_updates
from training.data.pictures import Canvas
from training.data.stream import open_stream
from training.data.vocabulary import Vocabulary

MUST = {"ratio_to_webdataset": ">= 1.2", "share_of_decode_ceiling": ">= 0.7", "start_seconds": "< 5"}
MEAN = (0.48, 0.46, 0.41)
DATASET = "pages"


@dataclass(frozen=True, kw_only=True)
class LoaderBenchmarkConfig:
    """A run of `benchmarks.loader`."""

    material: str = "../shared/material"
    """Folder of real material, whose photographs and texts the pages are made of."""
    pages: int = 256
    """Pages of the dataset, of eight pictures each."""
    shards: int = 8
    """Shards of the dataset."""
    short_side: int = 512
    """Shorter side of stored pictures, in pixels."""
    size: int = 320
    """Side of the squares that the model is shown, in pixels."""
    batch: int = 32
    """Samples of a batch."""
    batches: int = 10
    """Batches that a side gives in a round."""
    workers: int = 2
    """Processes that decode, on either side."""
    rounds: int = 3
    """Rounds, in each of which every side has its turn; the medians over rounds count."""
    simulated_shards: int = 100_000
    """Shards of the manifest that the start is measured with."""
    start_batch: int = 8
    """Samples of the batch that the start ends with."""

    def __post_init__(self) -> None:
        for name in ("shards", "size", "batch", "batches", "workers", "rounds", "simulated_shards", "start_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")
        if self.pages < self.shards:
            raise ValueError(f"pages is {self.pages}; it must be at least shards, {self.shards}")


@dataclass(frozen=True, slots=True)
class Speed:
    """What one side did."""

    samples: float
    """A second of CPU time, of all its processes."""
    images: float
    """A second of CPU time."""
    wall_images: float
    """A second of the clock, on a machine that may do other things."""


def run(config: LoaderBenchmarkConfig) -> None:
    """Measures, and prints a line a measurement and one line of JSON."""
    material = Path(config.material)
    frames, words = find_photographs(material, config.short_side), find_words(material)
    if not frames or not words:
        raise InputError(f"material {config.material!r} holds no photographs, or no articles in pages/readability")
    with TemporaryDirectory() as folder:
        uri = write_pages(Path(folder) / "pages", frames, words, config.pages, config.shards)
        vocabulary = train_vocabulary(words)
        to_webdataset, to_ceiling = compare(config, uri, vocabulary, frames)
        start = measure_start(config, Path(folder) / "many", uri)
    figures = {
        "ratio_to_webdataset": round(to_webdataset, 3),
        "share_of_decode_ceiling": round(to_ceiling, 3),
        "start_seconds": round(start, 2),
    }
    targets = {name: {"value": value, "must": MUST[name]} for name, value in figures.items()}
    print(json.dumps({"benchmark": "loader", "targets": targets, "machine": machine()}))


def compare(
    config: LoaderBenchmarkConfig, uri: str, vocabulary: Vocabulary, frames: Sequence[Frame]
) -> tuple[float, float]:
    """The loader's images a CPU-second over webdataset's, and over those that are only decoded: medians over rounds."""
    to_webdataset, to_ceiling = list[float](), list[float]()
    for number in range(config.rounds):
        print(f"round {number}:")
        ours = measure_ours(config, uri, vocabulary)
        theirs = measure_webdataset(config, uri, vocabulary)
        ceiling = measure_decoding(config, frames)
        to_webdataset.append(ours.samples / theirs.samples)
        to_ceiling.append(ours.images / ceiling.images)
    return median(to_webdataset), median(to_ceiling)


def training_config(config: LoaderBenchmarkConfig, uri: str) -> TrainingConfig:
    return TrainingConfig(
        output="none",
        model=FlamingoConfig(vision="none", language="none"),
        datasets={DATASET: DatasetConfig(uri=uri, kind="interleaved", batch=config.batch)},
        decoders=config.workers,
    )


def measure_ours(config: LoaderBenchmarkConfig, uri: str, vocabulary: Vocabulary) -> Speed:
    training, canvas = training_config(config, uri), Canvas(size=config.size, mean=MEAN)
    with load_updates(training, vocabulary, canvas, given={DATASET: 0}, part=Part(rank=0, world=1)) as updates:
        return _measure("this loader", config, (update[DATASET].batch for update in updates))


def measure_webdataset(config: LoaderBenchmarkConfig, uri: str, vocabulary: Vocabulary) -> Speed:
    maker = open_stream(training_config(config, uri), DATASET, vocabulary, Canvas(size=config.size, mean=MEAN)).maker
    shards = [str(path) for path in sorted(Path(uri).glob("*.tar"))]
    return _measure("webdataset", config, webdataset_batches(shards, maker, config.batch, config.workers))


def measure_decoding(config: LoaderBenchmarkConfig, frames: Sequence[Frame]) -> Speed:
    """The JPEGs decoded one after the other in this process, and not even put into squares."""
    number = 5 * config.batch * config.batches
    taken = list(itertools.islice(itertools.cycle(frames), number))
    cpu, clock = _cpu_seconds(), monotonic()
    for frame in taken:
        draft_decode(frame.data, config.size)
    return _speed("decoding alone", number / 5, number, _cpu_seconds() - cpu, monotonic() - clock)


def _measure(name: str, config: LoaderBenchmarkConfig, batches: Iterator[FlamingoBatch]) -> Speed:
    """Counts from the third batch on, when all processes work."""
    for batch in itertools.islice(batches, 2):
        assert len(batch.pixels) > len(batch.input_ids)
    cpu, clock, samples, images = _cpu_seconds(), monotonic(), 0, 0
    for batch in itertools.islice(batches, config.batches):
        samples += len(batch.input_ids)
        images += len(batch.pixels)
    return _speed(name, samples, images, _cpu_seconds() - cpu, monotonic() - clock)


def _speed(name: str, samples: float, images: int, cpu: float, clock: float) -> Speed:
    speed = Speed(samples / cpu, images / cpu, images / clock)
    print(
        f"{name}: {speed.samples:.1f} samples and {speed.images:.1f} images a CPU-second "
        f"({images / samples:.2f} images a sample), {speed.wall_images:.1f} images a second",
        flush=True,
    )
    return speed


def _cpu_seconds() -> float:
    """Of this process and all that it has started, dead ones too."""
    process = psutil.Process()
    own = process.cpu_times()
    alive = [child.cpu_times() for child in process.children(recursive=True)]
    return own.user + own.system + own.children_user + own.children_system + sum(t.user + t.system for t in alive)


def measure_start(config: LoaderBenchmarkConfig, folder: Path, uri: str) -> float:
    """Seconds from opening the manifest to the first batch, in a fresh process: the least of the rounds.

    The least, because what else the machine does can only add to it. Decoders and what they import are part of it;
    what the process itself imports, above all torch, is printed beside it.
    """
    simulate_shards(folder, uri, config.simulated_shards)
    print(f"start with {config.simulated_shards:,} shards:")
    return min(_start_once(config, folder) for _ in range(config.rounds))


def _start_once(config: LoaderBenchmarkConfig, folder: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.loader_start", str(folder), str(config.size), str(config.start_batch)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads(finished.stdout.splitlines()[-1])
    print(", ".join(f"{name} {value}" for name, value in said.items()), flush=True)
    return said["opening_seconds"] + said["first_batch_seconds"]


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(LoaderBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
