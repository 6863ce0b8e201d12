"""What Ray, chunks and commits cost: `pipeline.web` over an archive, beside its stage functions in plain processes.

Both work through the same chunks of the same archive, made of real pages under new addresses, the first pictures of
each of which are real photographs. Speed is that between the end of the first chunk of the last worker and the end of
the last chunk: without starting and without indexing the archive. Memory is that of the whole process tree, pages that
processes share counted once (Linux, PSS).
"""

import io
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import psutil
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from benchmarks.pages import SavedPage, read_pages
from benchmarks.report import machine
from jobs.command import InputError, run_command
from pipeline.assemble import wanted_images
from pipeline.chunks import Chunk, do_chunk, name_chunks
from pipeline.extract import extract
from pipeline.network import closed_network
from pipeline.text_rules import open_resources
from pipeline.web import WebConfig, gather_chunk
from shards.location import locate
from shards.manifest import COMMITS, read_commit

CORES = len(os.sched_getaffinity(0))
HOST = "copies.example"
LEAST_EFFICIENCY = 0.7
MOST_GROWTH = 1.1


@dataclass(frozen=True, kw_only=True)
class PipelineEfficiencyConfig:
    """A run of `benchmarks.pipeline_efficiency`."""

    material: str = "../shared/material"
    """Folder of real material, with pages/readability and images-captions/coco-by/images."""
    output: str = "runs/pipeline_efficiency"
    """Folder for the archive and the datasets; it must be absent or empty."""
    pages: int = 2000
    """Pages in the archive."""
    images_per_page: int = 3
    """Of the pictures of a page, so many lie in the archive."""
    rounds: int = 3
    """Times that both run, taking turns: a machine that others slow down slows both."""
    plain: bool = True
    """Whether the plain processes run too; without them only Ray's speed and memory are told."""

    def __post_init__(self) -> None:
        for name in ("pages", "images_per_page", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")


def run(config: PipelineEfficiencyConfig) -> None:
    """Measures, and prints one line of JSON."""
    print(json.dumps({"benchmark": "pipeline_efficiency", "targets": measure(config), "machine": machine()}))


def measure(config: PipelineEfficiencyConfig) -> dict[str, dict[str, object]]:
    """Makes the archive, runs both over it, prints a line a round; returns what must hold, by name.

    Raises InputError if the output folder is not empty.
    """
    folder = Path(config.output)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"output {folder} is not empty; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "pages.warc"
    _write_archive(archive, config)
    growths, efficiencies = list[float](), list[float]()
    for number in range(config.rounds):
        memory, piped, plain = _run_round(archive, folder / str(number), config.plain)
        growths.append(_growth(memory))
        peak = max(megabytes for _, megabytes in memory)
        line = f"round {number}: pipeline.web {piped:.1f} pages/s, peak of memory {peak:,.0f} MB"
        if config.plain:
            efficiencies.append(piped / plain)
            line += f"; plain processes {plain:.1f} pages/s"
        print(line, flush=True)
    targets: dict[str, dict[str, object]] = {}
    if efficiencies:
        targets["pipeline_efficiency"] = {"value": round(median(efficiencies), 3), "must": f">= {LEAST_EFFICIENCY}"}
    return targets | {"memory_growth": {"value": round(max(growths), 3), "must": f"<= {MOST_GROWTH}"}}


def _run_round(archive: Path, folder: Path, plain: bool) -> tuple[list[tuple[float, float]], float, float]:
    """Memory of the pipeline, and pages a second of the pipeline and of plain processes; folder goes at the end."""
    memory, piped = _run_pipeline(archive, folder / "piped")
    beside = _run_plain(archive, folder) if plain else 0.0
    shutil.rmtree(folder)
    return memory, piped, beside


def _write_archive(archive: Path, config: PipelineEfficiencyConfig) -> None:
    pages = read_pages(Path(config.material) / "pages" / "readability")
    photographs = sorted((Path(config.material) / "images-captions" / "coco-by" / "images").iterdir())
    bodies = itertools.cycle([photograph.read_bytes() for photograph in photographs])
    pictures = [_pictures(page, place, config.images_per_page) for place, page in enumerate(pages)]
    with archive.open("wb") as file:
        writer, written = WARCWriter(file, gzip=False), set[str]()
        for number in range(config.pages):
            copy, place = divmod(number, len(pages))
            _write(
                writer, _address(pages[place], place).replace(HOST, f"{copy}.{HOST}"), "text/html", pages[place].html
            )
            for picture in pictures[place]:
                address = picture.replace(f"//{HOST}/", f"//{copy}.{HOST}/")
                if address not in written:
                    written.add(address)
                    _write(writer, address, "image/jpeg", next(bodies))


def _address(page: SavedPage, place: int) -> str:
    return f"http://{HOST}/{place}/{page.id}.html"


def _pictures(page: SavedPage, place: int, most: int) -> list[str]:
    """The addresses of the first pictures of `page`."""
    references = wanted_images(extract(page.html, _address(page, place)), most)
    return [reference.url for reference in references if reference.url.startswith("http")]


def _write(writer: WARCWriter, url: str, content_type: str, body: bytes) -> None:
    fields = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    headers = StatusAndHeaders("200 OK", fields, protocol="HTTP/1.1")
    writer.write_record(
        writer.create_warc_record(url, "response", payload=io.BytesIO(body), length=len(body), http_headers=headers)
    )


def _run_pipeline(archive: Path, output: Path) -> tuple[list[tuple[float, float]], float]:
    """Memory over time as (seconds, megabytes), and pages a second, of `pipeline.web`."""
    command = [sys.executable, "-m", "pipeline.web", "--warc", str(archive), "--output", str(output)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as job:
        memory = _watch(psutil.Process(job.pid))
    if job.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {job.returncode}")
    commits = (output / COMMITS).iterdir()
    done = sorted(
        (path.stat().st_mtime, read_commit(locate(str(output)), path.stem).counts["pages"]) for path in commits
    )
    steady = [(at, megabytes) for at, megabytes in memory if done[0][0] <= at <= done[-1][0]]
    return steady, _rate(done)


def _watch(process: psutil.Process) -> list[tuple[float, float]]:
    """The memory of `process` and all that it started, about once a second until it ends."""
    seen = list[tuple[float, float]]()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        bytes_now = 0
        for member in [process, *process.children(recursive=True)]:
            try:
                bytes_now += member.memory_full_info().pss
            except psutil.Error:
                continue  # it ended in between
        seen.append((time.time(), bytes_now / 1e6))
        time.sleep(1)
    return seen


def _growth(memory: Sequence[tuple[float, float]]) -> float:
    """The peak of the second half of the time over that of the first."""
    middle = (memory[0][0] + memory[-1][0]) / 2
    return max(size for at, size in memory if at > middle) / max(size for at, size in memory if at <= middle)


def _run_plain(archive: Path, folder: Path) -> float:
    """Pages a second of a plain process a core, which share the chunks."""
    config = WebConfig(warc=str(archive), output=str(folder / "piped"))
    chunks = name_chunks(config.source.list_pages(config, locate(config.output)).runs)
    os.environ["OMP_NUM_THREADS"] = "1"  # as Ray sets it for a task with one CPU
    shares = [(config, folder / f"plain-{place}", chunks[place::CORES]) for place in range(CORES)]
    with multiprocessing.get_context("spawn").Pool(CORES) as pool:
        done = pool.starmap(_do_chunks, shares, chunksize=1)
    return _rate(sorted(itertools.chain.from_iterable(done)))


def _do_chunks(config: WebConfig, folder: Path, chunks: Sequence[Chunk]) -> list[tuple[float, int]]:
    """When each chunk ended, and its pages."""
    output, work = (
        locate(str(folder)),
        partial(gather_chunk, config, open_resources(config.text), locate(config.output), closed_network),
    )
    done: list[tuple[float, int]] = []
    for chunk in chunks:
        do_chunk(output, chunk, work, again=False)
        done.append((time.time(), read_commit(output, chunk.id).counts["pages"]))
    return done


def _rate(done: Sequence[tuple[float, int]]) -> float:
    """Pages a second between the first chunk of the last worker and the last chunk, from (end, pages) of each."""
    return sum(pages for _, pages in done[CORES:]) / (done[-1][0] - done[CORES - 1][0])


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(PipelineEfficiencyConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
