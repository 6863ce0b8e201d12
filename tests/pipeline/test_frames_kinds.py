"""Kinds of video that a camera, a disc or an editor makes: light beyond white, fields, lists of edits, odd sizes."""

import io
import struct
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.plane import VideoPlane
from PIL import Image

from pipeline.frames import Decoder, SampledVideo, VideoError, available_decoders, sample_video

WIDTH, HEIGHT = 320, 160
WIDE = "log-level=none:crf=4:range=limited:colorprim=bt2020:colormatrix=bt2020nc"
"""Of x265, for colours beyond those of a usual screen."""


def sample(
    path: Path, *, decoder: Decoder = "pyav", max_frames: int = 100, deadline_seconds: float = 60
) -> SampledVideo:
    return sample_video(
        str(path), decoder=decoder, max_frames=max_frames, deadline_seconds=deadline_seconds, memory_bytes=1 << 30
    )


def pixels_of(video: SampledVideo, number: int = 0) -> np.ndarray:
    """uint8[height, width, 3]."""
    frame = video.frames[number]
    image = Image.open(io.BytesIO(frame.data))
    assert image.size == (frame.width, frame.height)
    return np.asarray(image.convert("RGB"))


def grey(shade: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), shade, np.uint8)


def encode(
    path: Path,
    frames: Iterable[av.VideoFrame],
    *,
    codec: str = "libx264",
    rate: int = 10,
    first: int = 0,
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
) -> Path:
    """A video of `frames` in their own size and format, the n-th at (n + first) / `rate` seconds."""
    with av.open(str(path), "w", options=muxing) as container:
        stream = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options)
                assert isinstance(stream, av.VideoStream)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
            frame.pts, frame.time_base = number + first, Fraction(1, rate)
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode(None))
    return path


def shades(count: int) -> list[av.VideoFrame]:
    """The n-th frame is grey of 4 n + 15."""
    return [
        av.VideoFrame.from_ndarray(grey(4 * n + 15), format="rgb24").reformat(format="yuv420p") for n in range(count)
    ]


def shade_numbers(video: SampledVideo) -> list[int]:
    return [round((float(pixels_of(video, n).mean()) - 15) / 4) for n in range(len(video.frames))]


def ten_bits(signal: np.ndarray) -> av.VideoFrame:
    """A grey frame of eight bars with these signals, 0 to 1, in the narrow range of 10 bits."""
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p10le")
    luma = np.tile(np.repeat(np.round(64 + signal * 876), WIDTH // len(signal)), (HEIGHT, 1))
    for plane, values in zip(frame.planes, (luma, 512, 512), strict=True):
        fill(plane, values)
    return frame


def fill(plane: VideoPlane, values: np.ndarray | int) -> None:
    rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
    rows[:, : plane.width] = values
    plane.update(rows.tobytes())


def perceptual_quantiser(nits: np.ndarray) -> np.ndarray:
    """The signal for a luminance (SMPTE ST 2084, equation 5.2)."""
    power = (nits / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def test_light_beyond_white_is_mapped(tmp_path: Path):
    """203 cd/m2 and more are white (ITU-R BT.2408), what is darker is shown by a gamma of 2.4 (BT.1886)."""
    nits = np.array([0, 5, 10, 50, 100, 203, 1000, 4000])
    options = {"x265-params": f"{WIDE}:transfer=smpte2084"}
    path = encode(tmp_path / "v.mp4", [ten_bits(perceptual_quantiser(nits))] * 3, codec="libx265", options=options)
    for decoder in available_decoders():
        row = pixels_of(sample(path, decoder=decoder))[HEIGHT // 2, 20::40].mean(-1)
        assert row == pytest.approx(255 * np.minimum(1, nits / 203) ** (1 / 2.4), abs=5)


def test_hybrid_log_gamma(tmp_path: Path):
    """Its white, 75 % of the signal (BT.2408), comes out white, and the rest as on a screen of 1,000 cd/m2."""
    options = {"x265-params": f"{WIDE}:transfer=arib-std-b67"}
    signal = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1])
    path = encode(tmp_path / "v.mp4", [ten_bits(signal)] * 3, codec="libx265", options=options)
    row = pixels_of(sample(path))[HEIGHT // 2, 20::40].mean(-1)
    nits = 1000 * (signal**2 / 3) ** 1.2  # the lower half of the curve (BT.2100, table 5), and the system's gamma
    assert row[:6] == pytest.approx(255 * np.minimum(1, nits[:6] / 203) ** (1 / 2.4), abs=6)
    assert row[6:].min() > 247


def test_of_two_fields_one_is_shown(tmp_path: Path):
    """Lines of one field are white, those of the other black: together they are a grey comb."""
    lines = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    lines[::2] = 255
    frame = av.VideoFrame.from_ndarray(lines, format="rgb24").reformat(format="yuv422p")
    options = {"flags": "+ilme+ildct", "qmin": "1", "qmax": "2", "b": "20M"}
    path = encode(tmp_path / "v.mkv", [frame] * 10, codec="mpeg2video", options=options)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    video = sample(path)
    assert (video.frames[0].width, video.frames[0].height) == (WIDTH, HEIGHT)
    assert pixels_of(video).min() > 230


def test_a_list_of_edits_hides_the_beginning(tmp_path: Path):
    options, muxing = {"bf": "2", "g": "12"}, {"avoid_negative_ts": "disabled"}
    path = encode(tmp_path / "v.mp4", shades(60), first=-15, options=options, muxing=muxing)
    with av.open(str(path)) as container:
        assert any(packet.is_discard for packet in container.demux(video=0))
    assert shade_numbers(sample(path)) == [15, 25, 35, 45, 55]


def test_a_stream_that_begins_in_the_middle(tmp_path: Path):
    """What comes before the first key frame cannot be decoded: time counts from there."""
    whole, cut = encode(tmp_path / "v.ts", shades(60), options={"g": "25", "bf": "2"}), tmp_path / "cut.ts"
    with av.open(str(whole)) as container, av.open(str(cut), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(container.demux(video=0)):
            if number >= 10 and packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert shade_numbers(sample(cut)) == [25, 35, 45, 55]


@pytest.mark.parametrize(
    ("size", "codec", "pixels"),
    [
        ((1, 1), "ffv1", "yuv444p"),
        ((33, 17), "ffv1", "yuv420p"),
        ((333, 181), "libvpx-vp9", "yuv420p"),
        ((2, 640), "mjpeg", "yuvj420p"),
    ],
)
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], codec: str, pixels: str):
    frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 200, np.uint8), format="rgb24")
    video = sample(encode(tmp_path / "v.mkv", [frame.reformat(format=pixels) for _ in range(15)], codec=codec))
    assert [(f.width, f.height, f.seconds) for f in video.frames] == [(*size, 0.0), (*size, 1.0)]
    assert pixels_of(video).mean() == pytest.approx(200, abs=4)


def test_a_duration_that_lies(tmp_path: Path):
    """The header says a day; the packets say two seconds."""
    path = encode(tmp_path / "v.mkv", shades(20))
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Duration (RFC 9559, 5.1.2.10), a double, in milliseconds
    path.write_bytes(data[:at] + struct.pack(">d", 86_400_000) + data[at + 8 :])
    with av.open(str(path)) as container:
        assert container.duration == 86_400_000_000
    video = sample(path)
    assert (video.duration, shade_numbers(video), video.omitted) == (pytest.approx(2.0), [0, 10], 0)


def test_two_hours_of_slides(tmp_path: Path):
    """A picture a second, each kept; those beyond the bound are counted and not decoded."""
    path = encode(tmp_path / "v.mp4", shades(60) * 120, rate=1, options={"preset": "ultrafast"})
    video = sample(path, max_frames=7200, deadline_seconds=120)
    assert (video.duration, video.omitted, video.truncated) == (7200.0, 0, False)
    assert [frame.seconds for frame in video.frames] == [float(second) for second in range(7200)]
    assert shade_numbers(replace(video, frames=video.frames[::719])) == [n * 719 % 60 for n in range(11)]
    short = sample(path, max_frames=600)
    assert (short.frames, short.omitted, short.duration) == (video.frames[:600], 6600, 7200.0)


def test_a_cover_picture_alone(tmp_path: Path):
    """A song with its cover: the picture is a stream of video, and no video."""
    path = tmp_path / "song.mp4"
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000)
        assert isinstance(sound, av.AudioStream)
        cover = container.add_stream("png", rate=1)
        assert isinstance(cover, av.VideoStream)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        cover.disposition = Disposition.attached_pic
        packet = av.Packet(picture.getvalue())
        packet.stream, packet.pts, packet.dts = cover, 0, 0
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        container.mux(packet)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(VideoError) as caught:
        sample(path)
    assert caught.value.reason == "no_video_stream"
    assert "1 cover pictures" in str(caught.value)
