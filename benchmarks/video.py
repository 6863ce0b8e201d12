"""Sampling videos at one frame a second: seconds of video for each CPU-second, beside decord, PyAV and ffmpeg.

    python -m benchmarks.video                       # encodes four films, 12 minutes with all peers
    python -m benchmarks.video --ffmpeg PROGRAM      # where it is not in the path

Every side makes JPEGs of 320 pixels on the shorter side. This sampler pays for its child in every film, and for a
sixteenth of starting the server that forks it, since a task of `pipeline.video` has sixteen files; `ours, alone` pays
for all of that start. decord and PyAV run in a process that has them loaded, ffmpeg starts for each film.
"""

import io
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import av
import decord
from PIL import Image

from benchmarks.moving_pictures import FRAMES_PER_SECOND, Film, make_film
from benchmarks.report import machine
from jobs.command import InputError, run_command
from pipeline.decoding.confinement import run_child, stop_servers
from pipeline.frames import sample_video

SHORT_SIDE = 320
QUALITY = 90
MEMORY_BYTES = 2_000_000_000
ALONE = "ours, alone"
FILMS_OF_A_SERVER = 16
LEAST_RATIO = 1.0
FILMS = (
    Film(name="h264-1080p-key-250.mp4", codec="libx264", width=1920, height=1080, stretch=250, repeats=6),
    Film(
        name="h264-1080p-key-30.mp4",
        codec="libx264",
        width=1920,
        height=1080,
        stretch=240,
        repeats=6,
        options={"g": "30"},
    ),
    Film(
        name="vp9-720p.webm",
        codec="libvpx-vp9",
        width=1280,
        height=720,
        stretch=256,
        repeats=6,
        options={"b": "1500k", "cpu-used": "4", "deadline": "good"},
    ),
    Film(name="h264-480p-10-minutes.mp4", codec="libx264", width=854, height=480, stretch=1500, repeats=12),
)
"""The encoders' own settings but for what is named: x264 puts key frames every 250 frames, libvpx every 128."""

Sampler = Callable[[Path], int]
"""Samples a film, and gives the number of frames."""


@dataclass(frozen=True, kw_only=True)
class VideoBenchmarkConfig:
    """A run of `benchmarks.video`."""

    output: Path = Path("runs/video")
    """Folder for the films, which are encoded once."""
    ffmpeg: str = "ffmpeg"
    """The program; left out if it is not there."""
    rounds: int = 3
    """Rounds over all films; the sides take turns, and a figure is the median over the rounds."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or greater")


def run(config: VideoBenchmarkConfig) -> None:
    """Prints a line for each side and film, and one line of JSON."""
    config.output.mkdir(parents=True, exist_ok=True)
    figures = [film_figures(film, make_film(film, config.output), config) for film in FILMS]
    least = min(map(ratio_to_best_peer, figures))
    target = {"value": round(least, 3), "must": f">= {LEAST_RATIO}"}
    print(json.dumps({"benchmark": "video", "targets": {"ratio_to_best_peer_min": target}, "machine": machine()}))


def film_figures(film: Film, path: Path, config: VideoBenchmarkConfig) -> dict[str, float]:
    """Seconds of `film` for each CPU-second, by side. Raises InputError if a side gives another number of frames."""
    sides = samplers(config.ffmpeg)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(config.rounds):
        for name, sampler in sides.items():
            before = cpu_seconds()
            frames = sampler(path)
            taken[name].append(cpu_seconds() - before)
            if abs(frames - film.seconds) > 1:
                raise InputError(f"{name} gives {frames} frames of {path}, which lasts {film.seconds:.1f} s")
    speeds = {name: film.seconds / median(seconds) for name, seconds in taken.items()}
    spared = median(start_seconds() for _ in range(config.rounds)) * (1 - 1 / FILMS_OF_A_SERVER)
    speeds["ours"] = film.seconds / (median(taken[ALONE]) - spared)
    for name, speed in speeds.items():
        print(f"{film.name:28} {name:24} {speed:8.1f} s of video for each CPU-second")
    print(f"{film.name:28} ratio to the best peer   {ratio_to_best_peer(speeds):8.2f}", flush=True)
    return speeds


def ratio_to_best_peer(speeds: Mapping[str, float]) -> float:
    return speeds["ours"] / max(speed for name, speed in speeds.items() if name not in ("ours", ALONE))


def start_seconds() -> float:
    """CPU time to start the server, and a child of it that has nothing to do."""
    before = cpu_seconds()
    run_child("pipeline.decoding.sampling", "{}", 60)
    stop_servers()
    return cpu_seconds() - before


def samplers(ffmpeg: str) -> dict[str, Sampler]:
    """Every side; a peer in each of the settings that might suit it best."""
    sides: dict[str, Sampler] = {
        ALONE: sample_ours,
        "decord": partial(sample_by_decord, small=False),
        "decord, resizing": partial(sample_by_decord, small=True),
        "PyAV": partial(sample_by_pyav, threads=0),
        "PyAV, one thread": partial(sample_by_pyav, threads=1),
    }
    program = shutil.which(ffmpeg)
    if program:
        sides["ffmpeg"] = partial(sample_by_ffmpeg, program, threads=0)
        sides["ffmpeg, one thread"] = partial(sample_by_ffmpeg, program, threads=1)
    return sides


def sample_ours(path: Path) -> int:
    try:
        video = sample_video(
            str(path), short_side=SHORT_SIDE, max_frames=10_000, deadline_seconds=600, memory_bytes=MEMORY_BYTES
        )
    finally:
        stop_servers()  # whose time counts when it has ended
    return len(video.frames)


def sample_by_decord(path: Path, *, small: bool) -> int:
    """`get_batch` at the indices of 0, 1, 2, ... seconds, in one thread, which is the fastest by CPU time."""
    if small:
        with av.open(str(path)) as container:
            width, height = fitted(container.streams.video[0].width, container.streams.video[0].height)
        video = decord.VideoReader(str(path), num_threads=1, width=width, height=height)
    else:
        video = decord.VideoReader(str(path), num_threads=1)
    frames = video.get_batch(range(0, len(video), FRAMES_PER_SECOND)).asnumpy()
    return sum(len(jpeg(Image.fromarray(frame))) > 0 for frame in frames)


def sample_by_pyav(path: Path, *, threads: int) -> int:
    """Decodes everything; makes pictures of the first frame of each second."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        for frame in container.decode(stream):
            if frame.time >= count:
                width, height = fitted(frame.width, frame.height)
                count += len(jpeg(frame.to_image(width=width, height=height))) > 0
    return count


def sample_by_ffmpeg(program: str, path: Path, *, threads: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "-v", "error", "-threads", str(threads), "-i", str(path)]
        filters = f"fps=1:round=up,scale=-2:{SHORT_SIDE}:flags=bicubic"
        subprocess.run([*command, "-vf", filters, "-q:v", "3", f"{folder}/%05d.jpg"], check=True)
        return len(os.listdir(folder))


def fitted(width: int, height: int) -> tuple[int, int]:
    """Of a film that is wider than high."""
    return round(width * SHORT_SIDE / height), SHORT_SIDE


def jpeg(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    if image.height > SHORT_SIDE:
        image = image.resize(fitted(*image.size), Image.Resampling.BICUBIC, reducing_gap=2)
    image.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def cpu_seconds() -> float:
    """Of this process and of all children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(VideoBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
