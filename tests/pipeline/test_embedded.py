"""Subtitles inside a video: each text format, which stream is taken, and files that try to harm."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet

from pipeline.inputs.captions import Cue
from pipeline.inputs.embedded import Embedded, read_embedded

HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
MILLISECOND = Fraction(1, 1000)
Track = tuple[str, Disposition, Sequence[tuple[int, int, str]]]
"""A language, a disposition, and cues in milliseconds with texts as SSA has them."""
CUES = [(1000, 2000, r"Hello, {\i1}you{\i0}\Nthere"), (3500, 4000, "Bye")]
READ = (Cue(start=1.0, end=2.0, text="Hello, you\nthere"), Cue(start=3.5, end=4.0, text="Bye"))


def film(path: Path, codec: str, *tracks: Track, start: Fraction = Fraction(0)) -> Path:
    """Six seconds of grey with subtitles, whose first frame and first cue are `start` later."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        assert isinstance(video, av.VideoStream)
        video.width = video.height = 64
        streams: list[Any] = [container.add_stream(codec) for _ in tracks]
        for stream, (language, disposition, _) in zip(streams, tracks, strict=True):
            stream.metadata["language"] = language
            stream.disposition = disposition
            stream.codec_context.subtitle_header = HEADER
            stream.codec_context.time_base = stream.time_base = MILLISECOND
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = int((Fraction(number, 10) + start) / MILLISECOND), MILLISECOND
            container.mux(video.encode(frame))
        for stream, (_, _, cues) in zip(streams, tracks, strict=True):
            for begin, end, text in cues:
                event = SubtitleSet.create(f"0,0,Default,,0,0,0,,{text}".encode(), 0, end - begin, begin)
                packet = stream.codec_context.encode_subtitle(event)
                packet.pts = packet.dts = begin + int(start / MILLISECOND)
                packet.stream, packet.time_base = stream, MILLISECOND
                container.mux(packet)
        container.mux(video.encode(None))
    return path


def read(path: Path, language: str = "") -> Embedded:
    return read_embedded(str(path), language=language, deadline_seconds=60, memory_bytes=1 << 30)


@pytest.mark.parametrize(("codec", "suffix"), [("srt", "mkv"), ("ass", "mkv"), ("mov_text", "mp4")])
def test_every_format_of_text(tmp_path, codec, suffix):
    found = read(film(tmp_path / f"film.{suffix}", codec, ("eng", Disposition(0), CUES)))
    assert found == Embedded(cues=READ, language="eng")


def test_webvtt_in_matroska(material):
    """Packets at 546 and 1546 ms of a file whose first frame is shown at 23 ms, as PyAV reads them."""
    found = read(material / "videos" / "webvtt.mkv")
    assert found.cues == (Cue(start=0.523, end=1.016, text="oop"), Cue(start=1.523, end=1.916, text="boop"))


def test_times_count_from_the_first_frame(tmp_path):
    late = film(tmp_path / "film.mkv", "srt", ("eng", Disposition(0), CUES), start=Fraction(100))
    assert read(late).cues == READ


def test_the_stream_that_a_player_shows_is_taken_or_the_one_asked_for(tmp_path):
    other = [(0, 500, "Schild")]
    tracks = [
        ("deu", Disposition.forced | Disposition.default, other),
        ("eng", Disposition(0), [(0, 500, "commentary")]),
        ("fra", Disposition.default, [(0, 500, "bonjour")]),
    ]
    path = film(tmp_path / "film.mkv", "srt", *tracks)
    assert [cue.text for cue in read(path).cues] == ["bonjour"]
    assert [cue.text for cue in read(path, "eng").cues] == ["commentary"]
    assert [cue.text for cue in read(path, "deu").cues] == ["Schild"]
    assert read(path, "ita").reason == "no_subtitles"


def test_drawings_are_no_text(tmp_path):
    cues = [(0, 500, r"{\p1}m 0 0 l 100 0 100 100"), (600, 900, r"{\pos(1,2)}a sign")]
    assert [cue.text for cue in read(film(tmp_path / "film.mkv", "ass", ("eng", Disposition(0), cues))).cues] == [
        "a sign"
    ]


def test_a_cut_file_gives_the_cues_before_the_cut(tmp_path, material):
    whole = (material / "videos" / "webvtt.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    assert [cue.text for cue in read(tmp_path / "cut.mkv").cues] in (["oop"], ["oop", "boop"])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n", "not_a_video"),
        ("list.mkv", b"ffconcat version 1.0\nfile /etc/passwd\n", "not_a_video"),
        ("cues.mp4", b"WEBVTT\n\n00:00.000 --> 00:01.000\ntext\n", "not_a_video"),
        ("empty.mp4", b"", "not_a_video"),
        ("broken.mp4", b"\0\0\0\x18ftypmp42" + b"\xff" * 100, "damaged_container"),
    ],
)
def test_what_is_no_video_is_not_opened(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path / name) == Embedded(reason=reason)


def test_videos_without_subtitles(material):
    assert read(material / "videos" / "cockatoo.mp4").reason == "no_subtitles"


def test_a_child_that_is_late_or_dies_costs_the_subtitles_alone(material, monkeypatch, tmp_path):
    path = str(material / "videos" / "webvtt.mkv")
    late = read_embedded(path, language="", deadline_seconds=1e-6, memory_bytes=1 << 30)
    assert late.reason == "subtitles_deadline"
    starved = read_embedded(path, language="", deadline_seconds=60, memory_bytes=1 << 20)
    assert starved.reason in ("subtitles_crashed", "damaged_container")
