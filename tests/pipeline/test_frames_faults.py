"""Whatever a file does to its decoder, it costs that file and has a reason."""

import copy
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from av.container import OutputContainer

from pipeline.decoding.confinement import stop_servers
from pipeline.decoding.protocol import Request
from pipeline.frames import HEAD_BYTES, REASONS, Decoder, SampledVideo, VideoError, available_decoders, sample_video

ROOT = Path(__file__).parents[2]
DECODERS = available_decoders()
DEADLINE_SECONDS = 10
"""Of a mutant."""
SEEDS = (
    ("mp4", "libx264"),
    ("mkv", "libx264"),
    ("ts", "libx264"),
    ("mp4", "libx265"),
    ("webm", "libvpx-vp9"),
    ("avi", "mpeg4"),
    ("mpg", "mpeg2video"),
    ("mov", "mjpeg"),
)
"""Endings and codecs of the videos that are mutated."""


def sample(
    path: Path, *, decoder: Decoder = "pyav", deadline_seconds: float = 30, memory_bytes: int = 1 << 30
) -> SampledVideo:
    return sample_video(
        str(path), decoder=decoder, max_frames=20, deadline_seconds=deadline_seconds, memory_bytes=memory_bytes
    )


def refused(path: Path, **options) -> VideoError:
    with pytest.raises(VideoError) as caught:
        sample(path, **options)
    assert str(path) in str(caught.value)
    return caught.value


def encode(path: Path, *, codec: str = "mpeg4", side: int = 64, frames: int = 60) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = side, side
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, number, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decoding_children() -> list[psutil.Process]:
    """The forks that decode, behind this process's fork servers."""
    return [child for server in fork_servers() for child in server.children()]


def fork_servers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "pipeline.decoding.fork_server" in child.cmdline()]


def signal_the_child(number: int) -> threading.Thread:
    """Sends the signal to the next decoding child of this process."""

    def send() -> None:
        while True:
            for child in decoding_children():
                try:
                    return child.send_signal(number)
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    continue

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def endless(path: Path) -> int:
    """A file that begins as a video and never goes on, as long as the descriptor returned is open."""
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)  # so that nobody who opens the file waits, and all who read it do
    os.write(writer, b"\0\0\0\x20ftypisom".ljust(HEAD_BYTES, b"\0"))
    return writer


def test_a_child_that_crashes(tmp_path: Path):
    writer = endless(tmp_path / "v.mp4")
    thread = signal_the_child(signal.SIGSEGV)
    assert refused(tmp_path / "v.mp4").reason == "decoder_crashed"
    thread.join()
    os.close(writer)
    assert sample(encode(tmp_path / "next.mp4")).frames


def test_a_child_that_hangs_is_killed(tmp_path: Path):
    """Also one whose own alarm cannot wake it."""
    writer = endless(tmp_path / "v.mp4")
    thread = signal_the_child(signal.SIGSTOP)
    assert refused(tmp_path / "v.mp4", deadline_seconds=3).reason == "deadline"
    thread.join()
    os.close(writer)
    assert not decoding_children()
    assert sample(encode(tmp_path / "next.mp4")).frames


def test_a_child_ends_without_its_parent(tmp_path: Path):
    """The job may be killed while a decoder hangs: a pipe that nobody writes to stands for the file."""
    pipe = tmp_path / "v.mp4"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)  # so that opening the pipe does not wait, and reading it does
    child = subprocess.Popen(child_command(pipe, container="mov", deadline_seconds=1.0), cwd=ROOT)
    assert child.wait(60) == -signal.SIGALRM
    os.close(writer)


def child_command(path: Path, *, container: str, deadline_seconds: float = 30) -> list[str]:
    request = Request(
        path=str(path),
        container=container,
        decoder="pyav",
        frames_per_second=1.0,
        short_side=320,
        max_frames=20,
        deadline_seconds=deadline_seconds,
        memory_bytes=1 << 30,
    )
    return [sys.executable, "-m", "pipeline.decoding.sampling", request.to_json()]


def test_a_bomb(tmp_path: Path):
    path = encode(tmp_path / "v.mp4", side=4096, frames=2, codec="mpeg4")
    for decoder in DECODERS:
        assert refused(path, decoder=decoder, memory_bytes=128 << 20).reason == "too_much_memory"
    assert sample(path).frames


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {target}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_are_refused_before_a_decoder_and_open_nothing_in_one(tmp_path: Path, kind: str):
    encode(tmp_path / "target.ts", codec="mpeg2video")
    path = tmp_path / "list.mp4"
    path.write_text(PLAYLISTS[kind].format(target="target.ts"))
    with av.open(str(path), format=kind, options={"allowed_extensions": "ALL", "safe": "0"}) as control:
        assert next(control.decode(video=0)).width == 64
    for decoder in DECODERS:
        assert refused(path, decoder=decoder).reason == "not_a_video"
    forced = subprocess.run(child_command(path, container=kind), cwd=ROOT, capture_output=True)
    assert b"damaged_container" in forced.stdout or b"no_" in forced.stdout


def test_files_that_are_no_video(tmp_path: Path):
    for name, data in (("empty.mp4", b""), ("page.mp4", b"<html>" * 200), ("zeros.mp4", bytes(2000))):
        (tmp_path / name).write_bytes(data)
        assert refused(tmp_path / name).reason == "not_a_video"
    header = tmp_path / "header.mp4"
    header.write_bytes(b"\0\0\0\x20ftypisom" + bytes(1000))
    assert refused(header).reason == "damaged_container"
    with pytest.raises(FileNotFoundError):
        sample(tmp_path / "absent.mp4")


def add_sound(container: OutputContainer) -> None:
    """A moment of silence."""
    stream = container.add_stream("aac", rate=16000)
    assert isinstance(stream, av.AudioStream)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.sample_rate = 16000
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def test_sound_alone(tmp_path: Path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        add_sound(container)
    for decoder in DECODERS:
        assert refused(path, decoder=decoder).reason == "no_video_stream"


def test_a_stream_that_appears_late(tmp_path: Path):
    """As where two recordings of television were joined, the second with sound: PyAV may stumble at the end."""
    path, sound = encode(tmp_path / "v.ts", codec="libx264"), tmp_path / "sound.ts"
    with av.open(str(sound), "w", container_options={"mpegts_start_pid": "600", "pmt_start_pid": "700"}) as container:
        add_sound(container)
    path.write_bytes(path.read_bytes() + sound.read_bytes() * 3)
    assert [frame.seconds for frame in sample(path).frames] == [0.0, 1.0, 2.0]


def test_works_without_decord(tmp_path: Path):
    """In a process that cannot import decord, nor can its children."""
    path = encode(tmp_path / "v.mp4")
    (tmp_path / "decord.py").write_text("raise ImportError('decord is absent')")
    program = f"""
import sys
sys.modules["decord"] = None
from pipeline.frames import available_decoders, sample_video
assert available_decoders() == ("pyav",)
bounds = dict(max_frames=9, deadline_seconds=30, memory_bytes=1 << 30)
assert len(sample_video({str(path)!r}, **bounds).frames) == 3
sample_video({str(path)!r}, decoder="decord", **bounds)
"""
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.stderr.endswith("ValueError: decoder is 'decord'; installed here: pyav\n")


def test_an_error_survives_the_way_between_processes():
    error = copy.copy(VideoError("deadline", "v.mp4 was not decoded"))  # takes apart and builds anew as pickle does
    assert (error.reason, str(error)) == ("deadline", "v.mp4 was not decoded")


def fuzz(folder: Path, count: int) -> dict[str, int]:
    """Samples `count` mutants of eight small videos, every tenth by decord too; the outcomes by reason."""
    chance = random.Random(20221)
    seeds = [
        encode(folder / f"v{number}.{suffix}", codec=codec, frames=30) for number, (suffix, codec) in enumerate(SEEDS)
    ]
    outcomes: dict[str, int] = {}
    for number in range(count):
        seed = seeds[number % len(seeds)]
        mutant = folder / f"mutant{seed.suffix}"
        mutant.write_bytes(mutated(seed.read_bytes(), chance))
        for decoder in DECODERS if number % 10 == 0 else DECODERS[:1]:
            started = time.monotonic()
            outcome = outcome_of(mutant, decoder)
            assert time.monotonic() - started < DEADLINE_SECONDS + 5
            assert outcome in (*REASONS, "frames", "truncated")
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def mutated(data: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 4, 32, 256))):
        mutant[chance.randrange(16, len(mutant))] = chance.randrange(256)
    if chance.random() < 0.3:
        start = chance.randrange(len(mutant))
        del mutant[start : start + chance.randrange(1, len(mutant))]
    return bytes(mutant)


def outcome_of(path: Path, decoder: Decoder) -> str:
    try:
        video = sample(path, decoder=decoder, deadline_seconds=DEADLINE_SECONDS)
    except VideoError as error:
        return error.reason
    assert video.frames
    assert video.duration >= 0
    return "truncated" if video.truncated else "frames"


def test_a_hundred_mutants(tmp_path: Path):
    assert sum(fuzz(tmp_path, 100).values()) == 100 + 10 * (len(DECODERS) - 1)


@pytest.mark.slow
def test_two_thousand_mutants(tmp_path: Path):
    outcomes = fuzz(tmp_path, 2000)
    assert sum(outcomes.values()) == 2000 + 200 * (len(DECODERS) - 1)
    assert {"frames", "truncated", "damaged_container"} <= outcomes.keys()


@pytest.mark.slow
def test_memory_is_flat_over_many_files(tmp_path: Path):
    """Of this process and of its fork server, in which nothing is decoded."""
    stop_servers()
    path = encode(tmp_path / "v.mp4", codec="libx264")
    held: list[int] = []
    for number in range(500):
        assert len(sample(path).frames) == 3
        if number % 100 == 99:
            held.append(psutil.Process().memory_info().rss + sum(map(resident, fork_servers())))
    assert held[-1] - held[0] < 4 << 20
    assert len(fork_servers()) == 1


def resident(process: psutil.Process) -> int:
    return process.memory_info().rss


def test_a_fork_server_that_is_killed_costs_one_file(tmp_path: Path):
    path = encode(tmp_path / "v.mp4")
    assert sample(path).frames
    for server in fork_servers():
        server.kill()
    assert refused(path).reason == "decoder_crashed"
    assert sample(path).frames


def test_threads_have_servers_of_their_own(tmp_path: Path):
    """Each its own frames: answers are not mixed up."""
    paths = [encode(tmp_path / f"{side}.mp4", side=side) for side in (32, 48, 64, 80)]
    with ThreadPoolExecutor(4) as pool:
        videos = list(pool.map(sample, paths * 5))
    assert [video.frames[0].width for video in videos] == [32, 48, 64, 80] * 5
