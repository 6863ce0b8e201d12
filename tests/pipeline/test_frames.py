"""Which frames `sample_video` gives, and how they look."""

import bisect
import io
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.decoding.picture import fitted_size
from pipeline.decoding.timeline import Timed, count_instants, in_order, shown_at
from pipeline.frames import Decoder, SampledVideo, available_decoders, sample_video
from shards.document import Frame

BITS = 9
WIDTH, HEIGHT = BITS * 32, 160
STEADY = [Fraction(number, 30) for number in range(105)]
UNEVEN = [Fraction(ms, 1000) for ms in (0, 400, 999, 1000, 1001, 2500, 2900, 5100, 5101, 6000)]


def sample(path: Path, *, decoder: Decoder = "pyav", max_frames: int = 100, **options: float) -> SampledVideo:
    return sample_video(
        str(path),
        decoder=decoder,
        max_frames=max_frames,
        deadline_seconds=60,
        memory_bytes=1 << 30,
        frames_per_second=options.get("frames_per_second", 1.0),
    )


def picture_of(number: int) -> np.ndarray:
    """uint8[height, width, 3]: the number in binary, a white bar for a set bit."""
    bits = [255 * (number >> place & 1) for place in range(BITS)]
    return np.tile(np.repeat(np.array(bits, np.uint8), 32)[None, :, None], (HEIGHT, 1, 3))


def opened(frame: Frame) -> Image.Image:
    image = Image.open(io.BytesIO(frame.data))
    assert (image.format, image.size) == ("JPEG", (frame.width, frame.height))
    return image


def number_in(frame: Frame) -> int:
    row = np.asarray(opened(frame).convert("L").resize((BITS, 1), Image.Resampling.BOX))[0]
    return sum(1 << place for place in range(BITS) if row[place] > 127)


def encode(
    path: Path, times: Sequence[Fraction], *, codec: str = "libx264", pixels: str = "yuv420p", **options: str
) -> Path:
    """A video whose n-th frame shows n at `times[n]`."""
    muxing = {name: options.pop(name) for name in ("movflags",) if name in options}
    with av.open(str(path), "w", options=muxing) as container:
        stream = container.add_stream(codec, rate=30, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        clock = Fraction(1, 30) if codec in ("mpeg4", "mpeg2video") else Fraction(1, 90000)
        stream.codec_context.time_base = clock
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture_of(number), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = int(time / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def expected(times: Sequence[Fraction], instants: int) -> list[int]:
    return [bisect.bisect_right(times, times[0] + second) - 1 for second in range(instants)]


@pytest.mark.parametrize(
    ("name", "times", "options"),
    [
        ("steady.mp4", STEADY, {"bf": "3"}),
        ("uneven.mp4", UNEVEN, {"bf": "2"}),
        ("uneven.mkv", UNEVEN, {"bf": "2"}),
        ("late.mkv", [time + 7 for time in UNEVEN], {}),
        ("late.ts", [time + 2 for time in STEADY], {"bf": "2"}),
        ("steady.mpg", STEADY, {"codec": "mpeg2video", "bf": "2"}),
        ("steady.avi", STEADY, {"codec": "mpeg4", "bf": "2"}),
        ("steady.webm", STEADY, {"codec": "libvpx", "deadline": "realtime", "cpu-used": "8"}),
        ("ten_bits.mp4", STEADY, {"pixels": "yuv420p10le"}),
        ("full_colour.mov", STEADY, {"codec": "qtrle", "pixels": "rgb24"}),
    ],
)
def test_the_frame_at_an_instant_is_the_last_that_started(
    tmp_path: Path, name: str, times: list[Fraction], options: dict[str, str]
):
    video = sample(encode(tmp_path / name, times, **options))
    assert [frame.seconds for frame in video.frames] == [float(second) for second in range(len(video.frames))]
    assert [number_in(frame) for frame in video.frames] == expected(times, len(video.frames))
    shown_last = float(times[-1] - times[0])
    assert shown_last < video.duration <= shown_last + 1.5
    assert len(video.frames) == int(np.ceil(video.duration))
    assert not video.truncated
    assert video.omitted == 0


def test_other_rates(tmp_path: Path):
    path = encode(tmp_path / "v.mp4", STEADY)
    thrice = sample(path, frames_per_second=3.0)
    assert [number_in(frame) for frame in thrice.frames] == list(range(0, 105, 10))
    assert thrice.frames[1].seconds == pytest.approx(1 / 3)
    slow = sample(path, frames_per_second=0.4)
    assert [(frame.seconds, number_in(frame)) for frame in slow.frames] == [(0.0, 0), (2.5, 75)]


def test_frames_beyond_the_bound_are_counted_and_the_duration_is_whole(tmp_path: Path):
    path = encode(tmp_path / "v.mp4", STEADY, bf="3")
    for decoder in available_decoders():
        video = sample(path, decoder=decoder, max_frames=2)
        assert [number_in(frame) for frame in video.frames] == [0, 30]
        assert video.duration == pytest.approx(3.5)
        assert (video.omitted, video.truncated) == (2, False)


def test_alpha_is_dropped_over_black(tmp_path: Path):
    path = tmp_path / "v.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("qtrle", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "argb"
        pixels = np.full((32, 64, 4), 255, np.uint8)  # white; opaque on the left, invisible on the right
        pixels[:, 32:, 0] = 0
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="argb")))
        container.mux(stream.encode(None))
    image = np.asarray(opened(sample(path).frames[0]))
    assert image[:, :28].min() > 240
    assert image[:, 36:].max() < 15


def test_real_files_agree_with_an_independent_reading(material: Path):
    """Chosen from all frames by time; squared, turned and encoded by Pillow."""
    probes = json.loads((material / "videos" / "PROBE.json").read_text())
    for name in probes.keys() - {"corrupted.mp4"}:
        path, probe = material / "videos" / name, probes[name]
        reading = read_independently(path, probe["rotation"])
        for decoder in available_decoders():
            video = sample(path, decoder=decoder)
            assert video.duration == pytest.approx(probe["duration"], abs=0.07), name
            assert [frame.seconds for frame in video.frames] == [float(second) for second in range(len(reading))], name
            for frame, theirs in zip(video.frames, reading, strict=True):
                ours = opened(frame)
                assert ours.size == theirs.size, name
                difference = np.abs(np.asarray(ours, np.int16) - np.asarray(theirs, np.int16)).mean()
                assert difference < 4, (name, decoder, frame.seconds, difference)


def read_independently(path: Path, rotation: int) -> list[Image.Image]:
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.duration * (frame.time_base or 0)) for frame in container.decode(video=0)]
    start, end = min(time for time, _ in frames), max(time + lasting for time, lasting in frames)
    instants = int(np.ceil(end - start - 1e-9))
    chosen = [max(time for time, _ in frames if time - start <= second + 1e-9) for second in range(instants)]
    with av.open(str(path)) as container:
        aspect = container.streams.video[0].sample_aspect_ratio or 1
        pictures = {frame.time: frame.to_image() for frame in container.decode(video=0) if frame.time in chosen}
    return [as_sampled(pictures[time], aspect, rotation) for time in chosen]


def as_sampled(image: Image.Image, aspect: Fraction | int, rotation: int) -> Image.Image:
    width = image.width * aspect
    scale = min(1, 320 / min(width, image.height))
    image = image.resize((round(width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    image.rotate(rotation, expand=True).save(encoded, "JPEG", quality=90)
    return Image.open(encoded)


def test_decord_gives_the_same_frames_as_pyav(tmp_path: Path):
    if "decord" not in available_decoders():
        pytest.skip("decord is not installed")
    path = encode(tmp_path / "v.mp4", STEADY, bf="3", g="20")
    ours, theirs = sample(path), sample(path, decoder="decord")
    assert [f.seconds for f in theirs.frames] == [f.seconds for f in ours.frames]
    assert [number_in(f) for f in theirs.frames] == [number_in(f) for f in ours.frames] == [0, 30, 60, 90]


def test_a_damaged_packet_ends_the_video_and_marks_it(material: Path):
    for decoder in available_decoders():
        video = sample(material / "videos" / "corrupted.mp4", decoder=decoder)
        seconds = [frame.seconds for frame in video.frames]
        assert seconds == [0.0, 1.0, 2.0][: len(seconds)]
        assert video.truncated
        # decord's own thread may come to the damage before a frame in front of it was fetched, which is then lost.
        assert len(seconds) == 3 or (decoder == "decord" and seconds)
        assert len(seconds) - 1 < video.duration <= len(seconds)


def test_a_file_that_was_cut_keeps_the_frames_before_the_cut(tmp_path: Path):
    path = encode(tmp_path / "v.mp4", STEADY, movflags="faststart")
    whole = sample(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    cut = sample(path)
    assert cut.truncated
    assert 1 <= len(cut.frames) < len(whole.frames)
    assert cut.frames == whole.frames[: len(cut.frames)]


def test_one_slide_shown_for_long_is_one_picture(tmp_path: Path):
    path = encode(tmp_path / "v.mp4", [Fraction(0), Fraction(20), Fraction(41)])
    frames = sample(path).frames
    assert len({frame.data for frame in frames}) == 3
    assert [number_in(frame) for frame in frames[:42]] == [0] * 20 + [1] * 21 + [2]


@pytest.mark.parametrize(
    ("size", "aspect", "fitted"),
    [
        ((1920, 1080), None, (569, 320)),
        ((720, 576), Fraction(16, 15), (427, 320)),
        ((100, 50), Fraction(1), (100, 50)),
        ((1, 1), Fraction(1), (1, 1)),
        ((640, 480), Fraction(60000), (427, 320)),
    ],
)
def test_fitted_size(size: tuple[int, int], aspect: Fraction | None, fitted: tuple[int, int]):
    assert fitted_size(*size, aspect, 320) == fitted


@given(
    starts=st.lists(st.fractions(0, 20, max_denominator=30), min_size=1, max_size=30, unique=True),
    lasting=st.fractions(Fraction(1, 30), 3, max_denominator=30),
    rate=st.sampled_from([Fraction(1), Fraction(3), Fraction(2, 5)]),
)
def test_instants_are_those_of_the_definition(starts: list[Fraction], lasting: Fraction, rate: Fraction):
    starts = sorted(starts)
    timeline = [Timed(start=s, end=e, item=s) for s, e in zip(starts, [*starts[1:], starts[-1] + lasting], strict=True)]
    duration = timeline[-1].end - starts[0]
    shown = list(shown_at(iter(timeline), rate))
    assert [t for t, _ in shown] == [k / rate for k in range(100) if k / rate < duration]
    assert [item for _, item in shown] == [max(s for s in starts if s <= starts[0] + t) for t, _ in shown]
    assert len(shown) == count_instants(duration, rate)


@given(st.permutations(range(4)), st.integers(0, 20))
def test_neighbours_out_of_order_are_put_in_order(order: list[int], before: int):
    stamps = [*range(before), *(before + place for place in order), *range(before + 4, before + 9)]
    timeline = [Timed(start=Fraction(s), end=Fraction(s + 1), item=s) for s in stamps]
    assert [timed.item for timed in in_order(timeline)] == sorted(stamps)
