"""Pairs: images per second of `pipeline.pairs` beside img2dataset, on one list and one server on loopback.

The server stands for 500 hosts, as for benchmarks.fetch. Both sides take their turns, resize and encode alike, and
write what they gathered: shards with ledger and commits, and tar files.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from benchmarks.many_hosts import addresses, find_jpegs, many_hosts, stand_in
from benchmarks.report import machine
from jobs.command import InputError, run_command
from pipeline import pairs
from pipeline.fetch import FetchConfig
from pipeline.images import ImageConfig
from shards.dataset import open_dataset
from shards.manifest import COMMITS

SETTINGS = tuple((processes, threads) for processes in (1, 2, 4) for threads in (16, 32, 64))
"""Processes and threads in each of them with which img2dataset is tried."""
SHARDS_PER_PROCESS = 2
CORES = len(os.sched_getaffinity(0))
WORKERS = {
    "worker_process_setup_hook": stand_in,
    "env_vars": {"PYTHONPATH": str(Path(__file__).parents[1])},  # or else they would not find it
}
"""The hosts' names resolve in all processes of Ray."""
LEAST_RATIO = 1.5


@dataclass(frozen=True, kw_only=True)
class PairsBenchmarkConfig:
    """A run of `benchmarks.pairs`."""

    material: str = "../shared/material"
    """Folder of real material; its JPEGs of 100 to 400 kB are served."""
    peer_python: str = sys.executable
    """Python of the environment that img2dataset is installed in."""
    hosts: int = 500
    """Hosts that the images are spread over."""
    images: int = 4000
    """Pairs that each side gathers in a round."""
    trial_images: int = 1000
    """Pairs with which each setting of img2dataset is tried."""
    rounds: int = 3
    """Rounds, in each of which both sides have their turn; the medians over rounds count."""
    chunk_pairs: int = 250
    """Pairs of a chunk."""
    side: int = 256
    """The shorter side that images are resized to, in pixels."""
    quality: int = 90
    """JPEG quality of what is stored."""

    def __post_init__(self) -> None:
        for name in ("hosts", "images", "trial_images", "rounds", "chunk_pairs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")
        if min(self.images, self.trial_images) <= CORES * self.chunk_pairs:
            raise ValueError(f"chunk_pairs is {self.chunk_pairs}; each core must have more than one chunk to do")


@dataclass(frozen=True, slots=True)
class Run:
    """What one side did."""

    rate: float
    """Images per second while it worked."""
    whole: float
    """Images per second from its start to its end."""


def run(config: PairsBenchmarkConfig) -> None:
    """Measures, and prints a line a measurement and one line of JSON."""
    jpegs = find_jpegs(Path(config.material))
    if not jpegs:
        raise InputError(f"material {config.material!r} holds no JPEG of 100 to 400 kB")
    stand_in()
    if not ray.is_initialized():
        ray.init(address="local", log_to_driver=False, runtime_env=WORKERS)
    with many_hosts(jpegs) as port, TemporaryDirectory() as folder:
        trial = _write_list(Path(folder) / "trial.parquet", addresses(port, config.hosts, config.trial_images))
        _run_native(config, trial)  # workers start, and import what they need
        best = max(SETTINGS, key=lambda setting: _run_peer(config, trial, *setting).rate)
        everything = _write_list(Path(folder) / "list.parquet", addresses(port, config.hosts, config.images))
        ratios, whole = list[float](), list[float]()
        for number in range(config.rounds):
            print(f"round {number}:")
            theirs, ours = _run_peer(config, everything, *best), _run_native(config, everything)
            ratios.append(ours.rate / theirs.rate)
            whole.append(ours.whole / theirs.whole)
    print(f"from start to end, its own start-up included on either side: {median(whole):.2f} times the peer's rate")
    target = {"value": round(median(ratios), 3), "must": f">= {LEAST_RATIO}"}
    print(json.dumps({"benchmark": "pairs", "targets": {"ratio_to_img2dataset": target}, "machine": machine()}))


def _write_list(file: Path, urls: Sequence[str]) -> Path:
    captions = [f"Picture number {number} of a list." for number in range(len(urls))]
    pq.write_table(pa.table([pa.array(urls), pa.array(captions)], names=["url", "caption"]), file)
    return file


def _run_native(config: PairsBenchmarkConfig, file: Path) -> Run:
    """`pipeline.pairs` on the list in `file`, on a cluster that stands, with all of its politeness.

    Its work counts from the end of the first chunk of the last worker to the end of the last chunk.
    """
    number = pq.read_metadata(file).num_rows
    with TemporaryDirectory() as folder:
        settings = pairs.PairsConfig(
            input=str(file),
            output=folder,
            chunk_pairs=config.chunk_pairs,
            allow_network="127.0.0.0/8",
            image=ImageConfig(rules={}, store_side=config.side, quality=config.quality),
            fetch=FetchConfig(contact="benchmark@example.org"),
        )
        started = time.time()
        pairs.run(settings)
        whole = time.time() - started
        documents = open_dataset(folder).manifest.documents
        ends = sorted((file.stat().st_mtime, _pairs_of(file)) for file in (Path(folder) / COMMITS).iterdir())
    if documents != number:
        raise InputError(f"pipeline.pairs gathered {documents} of {number} pairs")
    steady = sum(gathered for _, gathered in ends[CORES:]) / (ends[-1][0] - ends[CORES - 1][0])
    print(f"pipeline.pairs: {steady:.1f} images/s, {number / whole:.1f} whole", flush=True)
    return Run(steady, number / whole)


def _pairs_of(commit: Path) -> int:
    return json.loads(commit.read_text())["counts"]["pairs"]


def _run_peer(config: PairsBenchmarkConfig, file: Path, processes: int, threads: int) -> Run:
    """img2dataset on the list in `file`; its work counts from the first request to the last image."""
    number = pq.read_metadata(file).num_rows
    options: Mapping[str, object] = {
        "processes": processes,
        "threads": threads,
        "shard": max(1, number // (processes * SHARDS_PER_PROCESS)),
        "side": config.side,
        "quality": config.quality,
        "format": "webdataset",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [config.peer_python, "-m", "benchmarks.img2dataset_peer", str(file), *arguments]
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    said = json.loads(finished.stdout.splitlines()[-1])
    if said["images"] != number:
        raise InputError(f"img2dataset fetched {said['images']} of {number} images with {processes} x {threads}")
    found = Run(number / said["seconds"], number / said["seconds_with_start_up"])
    print(
        f"img2dataset, {processes} x {threads} threads: {found.rate:.1f} images/s, {found.whole:.1f} whole", flush=True
    )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(PairsBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
