"""Decoding only what is needed gives what decoding everything gives, and both give what was shown at the time."""

import json
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.decoding.picture import jpeg_bytes
from pipeline.decoding.protocol import Answer, Request
from pipeline.decoding.sampling import sample_everything, sample_needed
from pipeline.decoding.scaling import Scaler
from pipeline.decoding.skipping_reader import Unplanned
from pipeline.frames import HEAD_BYTES, container_of

WIDTH, HEIGHT, FRAMES = 160, 96, 100
DECODED_WHOLE = {"corrupted.mp4", "sine_stereo_mp2.mpg", "testsrc2_mpeg4.avi"}
"""Damaged, and in codecs of which too little is known."""


def request(path: Path, frames_per_second: float, max_frames: int) -> Request:
    container = container_of(path.read_bytes()[:HEAD_BYTES])
    assert container is not None
    return Request(
        path=str(path),
        container=container,
        decoder="pyav",
        frames_per_second=frames_per_second,
        short_side=320,
        max_frames=max_frames,
        deadline_seconds=60,
        memory_bytes=1 << 30,
    )


def answered(way: Callable[..., Answer], path: Path, frames_per_second: float = 1.0, max_frames: int = 100) -> Answer:
    with path.open("rb", buffering=0) as file:
        return way(file, request(path, frames_per_second, max_frames))


def moving(number: int) -> np.ndarray:
    """uint8[height, width, 3]: a photograph's worth of detail that moves, so that every frame differs."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin((columns + 3 * number) / (5 + 2 * c)) * np.cos((rows - number) / (7 + c)) for c in range(3)]
    return (127 + 120 * np.stack(waves, -1)).astype(np.uint8)


@contextmanager
def scheduled_as_before() -> Generator[None]:
    """For SVT-AV1, which makes the thread that calls it, and so all processes started later, real-time ones where it
    may, as root may: they then keep a core from everything else, Ray included."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def encode(path: Path, codec: str, options: dict[str, str], *, rate: int = 10) -> Path:
    with scheduled_as_before(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moving(number), format="rgb24")))
        container.mux(stream.encode(None))
    return path


STREAMS = {
    "leaves.mp4": ("libx264", {"g": "50", "bf": "3", "b-pyramid": "normal"}),
    "strict.mkv": ("libx264", {"g": "25", "bf": "5", "b-pyramid": "strict", "refs": "4"}),
    "every.mp4": ("libx264", {"g": "10", "bf": "2"}),
    "whole.mp4": ("libx264", {"g": "1000", "bf": "3"}),
    "open.mp4": ("libx264", {"g": "25", "bf": "3", "x264-params": "open-gop=1"}),
    "packets.ts": ("libx264", {"g": "25", "bf": "3"}),
    "slices.mp4": ("libx264", {"g": "25", "bf": "3", "slices": "4"}),
    "weighted.mp4": ("libx264", {"g": "25", "bf": "3", "weightp": "2", "preset": "slow"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=25:bframes=4:open-gop=1:log-level=none"}),
    "closed.mkv": ("libx265", {"x265-params": "keyint=25:bframes=4:open-gop=0:log-level=none"}),
    "layers.mp4": ("libx265", {"x265-params": "keyint=25:bframes=4:temporal-layers=3:log-level=none"}),
    "vp8.webm": ("libvpx", {"g": "25", "auto-alt-ref": "1", "lag-in-frames": "16", "b": "200k"}),
    "vp9.webm": ("libvpx-vp9", {"g": "25", "auto-alt-ref": "1", "lag-in-frames": "16", "row-mt": "0"}),
    "av1.mp4": ("libsvtav1", {"g": "25", "preset": "10", "svtav1-params": "lp=1"}),
    "jpeg.mov": ("mjpeg", {}),
}


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_left_out_changes_no_bit(tmp_path: Path, name: str):
    path = encode(tmp_path / name, *STREAMS[name])
    for frames_per_second in (1.0, 3.0, 0.3):
        whole = answered(sample_everything, path, frames_per_second=frames_per_second)
        assert answered(sample_needed, path, frames_per_second=frames_per_second) == whole
        assert len(whole.pictures) == np.ceil(FRAMES / 10 * frames_per_second)
        assert len({picture.jpeg for picture in whole.pictures}) == len(whole.pictures)
    first = answered(sample_needed, path, max_frames=2)
    assert first == answered(sample_everything, path, max_frames=2)
    assert (len(first.pictures), first.omitted) == (2, 8)


def test_real_files_change_no_bit(material: Path):
    for name in json.loads((material / "videos" / "PROBE.json").read_text()):
        path = material / "videos" / name
        for frames_per_second in (1.0, 4.0):
            whole = answered(sample_everything, path, frames_per_second=frames_per_second)
            if name in DECODED_WHOLE:
                with pytest.raises(Unplanned):
                    answered(sample_needed, path, frames_per_second=frames_per_second)
            else:
                assert answered(sample_needed, path, frames_per_second=frames_per_second) == whole, name


def test_real_files_agree_with_an_independent_reading_frame_by_frame(material: Path):
    """PyAV decodes everything, with its own threads; which frame is shown follows from presentation times alone."""
    for name in json.loads((material / "videos" / "PROBE.json").read_text()).keys() - {"corrupted.mp4"}:
        path = material / "videos" / name
        for frames_per_second in (1.0, 4.0):
            ours = answered(sample_everything, path, frames_per_second=frames_per_second)
            theirs = read_independently(path, Fraction(int(frames_per_second)))
            assert [picture.jpeg for picture in ours.pictures] == theirs, name


def read_independently(path: Path, frames_per_second: Fraction) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        clock = stream.time_base or Fraction(0)
        frames = [((frame.pts or 0) * clock, frame) for frame in container.decode(stream)]
        ends = [start + frame.duration * clock for start, frame in frames]
        chosen = [frame for _, frame in shown(frames, max(ends), frames_per_second)]
        scaler = Scaler(320)
        return [jpeg_bytes(scaler.picture(frame, stream.sample_aspect_ratio)) for frame in chosen]


def shown(
    frames: Sequence[tuple[Fraction, av.VideoFrame]], end: Fraction, frames_per_second: Fraction
) -> list[tuple[Fraction, av.VideoFrame]]:
    first = min(start for start, _ in frames)
    instants = [first + number / frames_per_second for number in range(1000)]
    return [
        max((pair for pair in frames if pair[0] <= instant), key=lambda pair: pair[0])
        for instant in instants
        if instant < end
    ]
