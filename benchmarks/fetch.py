"""Fetching: images per second beside img2dataset, and the share that is reached of what loopback allows.

One server on loopback stands for 500 hosts, each with a latency of its own, and gives real JPEGs of 100 to 400 kB.
Both sides ask it in turn for the same images, so that a machine which others use too slows down both.
"""

import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import aiohttp
from yarl import URL

from benchmarks.many_hosts import addresses, find_jpegs, many_hosts, stand_in
from benchmarks.pipeline_efficiency import PipelineEfficiencyConfig, measure
from benchmarks.report import machine
from jobs.command import InputError, run_command
from pipeline.fetch import FetchConfig, open_fetcher
from pipeline.images import ImageConfig, NoPicture, fetch_picture

LOOPBACK = "127.0.0.0/8"
MOST_BYTES = 20_000_000
SETTINGS = tuple((processes, threads) for processes in (1, 2, 4) for threads in (8, 16, 32, 64, 128))
"""Processes and threads in each of them with which img2dataset is tried."""
PROCESSES = (1, 2, 4)
"""Processes with which this layer is tried, a loop in each."""
SHARDS_PER_PROCESS = 2
MUST = {"ratio_to_img2dataset": 1.5, "share_of_loopback_ceiling": 0.7}


@dataclass(frozen=True, kw_only=True)
class FetchBenchmarkConfig:
    """A run of `benchmarks.fetch`."""

    material: str = "../shared/material"
    """Folder of real material; its JPEGs of 100 to 400 kB are served."""
    peer_python: str = sys.executable
    """Python of the environment that img2dataset is installed in."""
    hosts: int = 500
    """Hosts that the images are spread over."""
    images: int = 3000
    """Images that each side fetches, decodes and resizes in a round."""
    trial_images: int = 1000
    """Images with which each setting of img2dataset is tried."""
    fetches: int = 5000
    """Images that are fetched in a round, and not decoded."""
    rounds: int = 3
    """Rounds, in each of which both sides have their turn; the medians over rounds count."""
    connections: int = 256
    """Requests under way at once, of this layer and of the bare loop."""
    side: int = 256
    """The shorter side that images are resized to, in pixels."""
    quality: int = 90
    """JPEG quality of what comes out."""
    pages: int = 2000
    """Pages in the archive with which `benchmarks.pipeline_efficiency` runs too; 0 leaves it out."""

    def __post_init__(self) -> None:
        for name in ("hosts", "images", "trial_images", "fetches", "rounds", "connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")
        if self.trial_images >= self.images:
            raise ValueError(f"trial_images is {self.trial_images}; it must be less than images, {self.images}")

    @property
    def image(self) -> ImageConfig:
        """Nothing is refused that the peer takes."""
        return ImageConfig(rules={}, store_side=self.side, quality=self.quality)


def run(config: FetchBenchmarkConfig) -> None:
    """Measures, and prints a line a measurement and one line of JSON."""
    jpegs = find_jpegs(Path(config.material))
    if not jpegs:
        raise InputError(f"material {config.material!r} holds no JPEG of 100 to 400 kB")
    stand_in()
    with many_hosts(jpegs) as port:
        share = _share_of_ceiling(config, addresses(port, config.hosts, config.fetches))
        ratio = _ratio_to_peer(config, port)
    figures = {"ratio_to_img2dataset": ratio, "share_of_loopback_ceiling": share}
    targets: dict[str, dict[str, object]] = {
        name: {"value": round(value, 3), "must": f">= {MUST[name]}"} for name, value in figures.items()
    }
    if config.pages:
        targets |= _pipeline(config)
    print(json.dumps({"benchmark": "fetch", "targets": targets, "machine": machine()}))


def _pipeline(config: FetchBenchmarkConfig) -> dict[str, dict[str, object]]:
    """What Ray, chunks and commits cost; memory is measured over more pages, by that benchmark alone."""
    with TemporaryDirectory() as folder:
        settings = PipelineEfficiencyConfig(
            material=config.material, output=folder, pages=config.pages, rounds=config.rounds
        )
        return {name: target for name, target in measure(settings).items() if name == "pipeline_efficiency"}


def _share_of_ceiling(config: FetchBenchmarkConfig, urls: Sequence[str]) -> float:
    shares: list[float] = []
    for number in range(config.rounds):
        bare = asyncio.run(_fetch_bare(urls, config.connections))
        ours = asyncio.run(_fetch(urls, config.connections))
        shares.append(ours / bare)
        print(f"round {number}: bare aiohttp {bare:.0f} images/s, this layer {ours:.0f}", flush=True)
    return median(shares)


def _ratio_to_peer(config: FetchBenchmarkConfig, port: int) -> float:
    """Images per second of this layer by those of img2dataset, each at its best setting: the median over rounds."""
    trial = addresses(port, config.hosts, config.trial_images)
    peers = {setting: _run_peer(config, trial, *setting) for setting in SETTINGS}
    own = {processes: _run_ours(config, trial, processes) for processes in PROCESSES}
    peer_best = max(SETTINGS, key=lambda setting: peers[setting].rate)
    own_best = max(PROCESSES, key=lambda processes: own[processes].rate)
    urls, ratios, cpu_ratios = addresses(port, config.hosts, config.images), list[float](), list[float]()
    for number in range(config.rounds):
        print(f"round {number}:")
        theirs, ours = _run_peer(config, urls, *peer_best), _run_ours(config, urls, own_best)
        ratios.append(ours.rate / theirs.rate)
        cpu_ratios.append(
            (theirs.cpu_seconds - peers[peer_best].cpu_seconds) / (ours.cpu_seconds - own[own_best].cpu_seconds)
        )
    print(f"CPU seconds for each further image: img2dataset takes {median(cpu_ratios):.2f} times as many")
    return median(ratios)


@dataclass(frozen=True, slots=True)
class Run:
    """What one side did."""

    rate: float
    """Images per second, from the first request to the last image."""
    cpu_seconds: float
    """Of all its processes."""


def _run_peer(config: FetchBenchmarkConfig, urls: Sequence[str], processes: int, threads: int) -> Run:
    """img2dataset on `urls`, without what it takes to start."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "urls.txt"
        file.write_text("\n".join(urls))
        options: Mapping[str, int] = {
            "processes": processes,
            "threads": threads,
            "shard": max(1, len(urls) // (processes * SHARDS_PER_PROCESS)),
            "side": config.side,
            "quality": config.quality,
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        command = [config.peer_python, "-m", "benchmarks.img2dataset_peer", str(file), *arguments]
        environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
        spent = _children_cpu()
        finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    said = json.loads(finished.stdout.splitlines()[-1])
    if said["images"] != len(urls):
        raise InputError(f"img2dataset fetched {said['images']} of {len(urls)} images with {processes} x {threads}")
    rate, whole = len(urls) / said["seconds"], len(urls) / said["seconds_with_start_up"]
    print(f"img2dataset, {processes} x {threads} threads: {rate:.1f} images/s, {whole:.1f} with its start", flush=True)
    return Run(rate, _children_cpu() - spent)


def _run_ours(config: FetchBenchmarkConfig, urls: Sequence[str], processes: int) -> Run:
    """This layer on `urls`, without what it takes to start; a host belongs to one process."""
    shares = [
        [url for url in urls if zlib.crc32(URL(url).raw_authority.encode()) % processes == n] for n in range(processes)
    ]
    spent = _children_cpu()
    with multiprocessing.get_context("spawn").Pool(processes, stand_in) as pool:
        times = pool.starmap(_work_off_alone, [(share, config, processes) for share in shares], chunksize=1)
        pool.close()
        pool.join()
    rate = len(urls) / (max(end for _, end in times) - min(start for start, _ in times))
    print(f"this layer, {processes} processes: {rate:.1f} images/s", flush=True)
    return Run(rate, _children_cpu() - spent)


def _work_off_alone(urls: Sequence[str], config: FetchBenchmarkConfig, processes: int) -> tuple[float, float]:
    """When it began and when it ended."""
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    started = time.time()
    asyncio.run(_fetch_and_decode(urls, config))
    return started, time.time()


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def _fetch_bare(urls: Sequence[str], connections: int) -> float:
    """Images per second of aiohttp alone: no robots.txt, no pace, no bounds."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def fetch(url: str) -> None:
            async with session.get(url) as response:
                response.raise_for_status()
                await response.read()

        return await _rate(fetch, urls, connections)


async def _fetch(urls: Sequence[str], connections: int) -> float:
    """Images per second of this layer, which is made to wait for nobody."""
    config = FetchConfig(connections=connections, delay_seconds=0, delay_factor=0)
    async with open_fetcher(config, LOOPBACK) as fetcher:

        async def fetch(url: str) -> None:
            await fetcher.fetch(url, MOST_BYTES)

        return await _rate(fetch, urls, connections)


async def _fetch_and_decode(urls: Sequence[str], config: FetchBenchmarkConfig) -> float:
    """Images per second of this layer as jobs use it, with all of its politeness."""
    async with open_fetcher(FetchConfig(connections=config.connections), LOOPBACK) as fetcher:

        async def fetch(url: str) -> None:
            picture = await fetch_picture(fetcher, [url], MOST_BYTES, config.image)
            if isinstance(picture, NoPicture):
                raise InputError(f"{url} gave no picture: {picture.reason}")

        return await _rate(fetch, urls, config.connections)


async def _rate(fetch: Callable[[str], Awaitable[None]], urls: Sequence[str], at_once: int) -> float:
    """Images per second of `fetch` with so many calls under way."""
    left = iter(urls)
    started = time.monotonic()
    await asyncio.gather(*(_work_off(fetch, left) for _ in range(at_once)))
    return len(urls) / (time.monotonic() - started)


async def _work_off(fetch: Callable[[str], Awaitable[None]], left: Iterator[str]) -> None:
    for url in left:
        await fetch(url)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(FetchBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
