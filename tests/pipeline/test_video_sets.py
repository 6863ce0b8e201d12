"""What comes with a video: sidecars, JSON as video2dataset writes it, lists, tar files whole and cut."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from jobs.command import InputError
from pipeline.inputs.captions import Cue
from pipeline.inputs.video_sets import videos_of_folder, videos_of_list
from pipeline.inputs.video_tars import find_tars, index_tar, read_samples
from pipeline.inputs.video_texts import read_texts
from shards.location import locate

VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\n%s\n"
SRT = b"1\n00:00:01,000 --> 00:00:02,000\n%s\n"


def cues(texts: dict[str, bytes], language: str = "") -> list[str]:
    return [cue.text for cue in read_texts(texts, "caption", language).cues]


def said(record: object, language: str = "") -> tuple[Cue, ...]:
    return read_texts({"json": json.dumps(record).encode()}, "caption", language).cues


def test_subtitles_are_chosen_by_language_then_by_name():
    texts = {"vtt": VTT % b"any", "en.vtt": VTT % b"english", "de.srt": SRT % b"deutsch", "en.srt": SRT % b"srt"}
    assert cues(texts) == ["any"]
    assert cues(texts, "de") == ["deutsch"]
    assert cues(texts, "en") == ["english"]
    assert cues(texts, "fr") == ["any"]
    del texts["vtt"]
    assert cues(texts) == ["deutsch"]
    assert cues(texts, "fr") == []


def test_a_file_without_cues_is_passed_over():
    assert cues({"vtt": b"WEBVTT\n\nno cue", "srt": SRT % b"cue"}) == ["cue"]


def test_captions():
    assert read_texts({"txt": " A  bird.\n".encode("utf-16")}, "caption", "").caption == "A bird."
    record = json.dumps({"caption": "Says JSON.", "title": "A title."}).encode()
    assert read_texts({"json": record}, "caption", "").caption == "Says JSON."
    assert read_texts({"json": record}, "title", "").caption == "A title."
    assert read_texts({"json": record, "txt": b"A text."}, "caption", "").caption == "A text."


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"caption": 3, "subtitles": "x"}'])
def test_json_that_says_nothing(data):
    found = read_texts({"json": data}, "caption", "")
    assert (found.caption, found.cues, found.url, found.failed) == ("", (), "", False)


def test_a_whole_video_of_video2dataset():
    """As examples/yt_metadata.md of video2dataset shows it."""
    line = {"start": "00:00:07.749", "end": "00:00:08.759", "lines": ["one", "two"]}
    german = {"start": "00:00:07.749", "end": "00:00:08.759", "lines": ["eins"]}
    metadata = {"info": {"title": "A  title", "license": None}, "subtitles": {"en": [line], "de": [german]}}
    record = {"url": "http://x.org/v", "status": "success", "yt_meta_dict": metadata}
    found = read_texts({"json": json.dumps(record).encode()}, "caption", "")
    assert found.cues == (Cue(start=7.749, end=8.759, text="one\ntwo"),)
    assert (found.url, found.facts) == ("http://x.org/v", {"title": "A title"})
    assert [cue.text for cue in said(record, "de")] == ["eins"]
    assert said(record, "fr") == ()


@pytest.mark.parametrize("clips", [[["00:01:40.000", "00:02:00.000"]], [[100, 120]], [100.0, 120.0]])
def test_a_clip_of_video2dataset_by_its_own_time(clips):
    """Its subtitles have the time of the whole; the first began before the clip did."""
    lines: list[dict[str, Any]] = [
        {"start": "00:01:39.000", "end": "00:01:41.000", "lines": {"en": ["one"]}},
        {"start": "00:01:43.500", "end": "00:01:45.000", "lines": {"en": ["two"]}},
    ]
    assert said({"clips": clips, "clip_subtitles": lines}) == (
        Cue(start=0.0, end=1.0, text="one"),
        Cue(start=3.5, end=5.0, text="two"),
    )


def test_a_plain_list_of_subtitles():
    entries = [{"start": 1, "end": 2.5, "text": "one"}, {"start": "x", "end": 3}, 7, {"start": 1e300, "end": 2}]
    assert said({"subtitles": entries}) == (Cue(start=1.0, end=2.5, text="one"),)


def test_a_folder_and_what_lies_beside_its_videos(tmp_path):
    names = [
        "b.MP4",
        "b.txt",
        "b.en.vtt",
        "b.part.vtt",
        "a.film.webm",
        "a.film.srt",
        "a.srt",
        "c/d.mkv",
        "c/d.json",
        "e.txt",
    ]
    (tmp_path / "c").mkdir()
    for name in names:
        (tmp_path / name).touch()
    found = [
        (path.removeprefix(f"{tmp_path}/"), {suffix: Path(text).name for suffix, text in beside.items()})
        for path, _, beside in videos_of_folder(locate(str(tmp_path)))
    ]
    assert found == [
        ("a.film.webm", {"srt": "a.film.srt"}),
        ("b.MP4", {"en.vtt": "b.en.vtt", "txt": "b.txt"}),
        ("c/d.mkv", {"json": "d.json"}),
    ]


def test_a_list_names_files_relative_to_itself(tmp_path):
    (tmp_path / "list.csv").write_text(
        "video,said,subs\na.mp4,A,a.srt\n/b.mp4,B,\nhttp://X.org/c.mp4#x,C,http://x.org/c.vtt\ns3://k/d.mp4,,\n"
    )
    assert videos_of_list(locate(str(tmp_path / "list.csv")), "video", "said", "subs") == [
        [f"{tmp_path}/a.mp4", "A", {"srt": f"{tmp_path}/a.srt"}],
        ["/b.mp4", "B", {}],
        ["http://x.org/c.mp4", "C", {"vtt": "http://x.org/c.vtt"}],
        ["s3://k/d.mp4", "", {}],
    ]
    assert [row[1:] for row in videos_of_list(locate(str(tmp_path / "list.csv")), "video", "", "")] == [["", {}]] * 4


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members_of(samples: int, failed: int) -> list[tuple[str, bytes]]:
    """Samples as video2dataset writes them; of one that failed there is no video."""
    members = list[tuple[str, bytes]]()
    for number in range(samples):
        key = f"{number:09d}"
        status = "failed_to_download" if number == failed else "success"
        members += [(f"{key}.json", json.dumps({"status": status}).encode())]
        members += [] if number == failed else [(f"{key}.mp4", b"video %d" % number * 1000)]
        members += [(f"{key}.txt", b"Text %d" % number)]
    return members


def read(path: Path, size: int, scratch: Path) -> list[tuple[str, bytes | None, dict[str, bytes]]]:
    """Name, bytes and texts of every sample, run after run."""
    return [
        (video.name.rpartition("#")[2], Path(video.copy).read_bytes() if video.copy else None, dict(video.texts))
        for _, offset, number, *_ in index_tar(locate(str(path)), size)
        for video in read_samples(locate(str(path)), offset, number, scratch)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_runs_of_any_size_are_the_whole_tar(tmp_path, size):
    path = write_tar(tmp_path / "00000.tar", members_of(5, failed=3))
    runs = index_tar(locate(str(path)), size)
    assert [run[2] for run in runs] == [min(size, 5 - start) for start in range(0, 5, size)]
    found = read(path, size, tmp_path)
    assert [name for name, _, _ in found] == [f"{number:09d}" for number in range(5)]
    assert [data for _, data, _ in found] == [None if n == 3 else b"video %d" % n * 1000 for n in range(5)]
    assert [texts["txt"] for *_, texts in found] == [b"Text %d" % number for number in range(5)]


def test_other_members_are_not_looked_at(tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as archive:
        folder, link = tarfile.TarInfo("a.mp4"), tarfile.TarInfo("b.mp4")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(folder)
        archive.addfile(link)
        for name in ("../../c.mp4", "../../c.npz", "../../c.pyd"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    assert read(tmp_path / "odd.tar", 10, tmp_path) == [("../../c", b"abc", {})]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1024-1.mp4", "odd.tar"]


def test_a_cut_tar_gives_the_samples_before_the_cut_and_a_note(tmp_path):
    path = write_tar(tmp_path / "cut.tar", members_of(5, failed=9))
    whole = path.read_bytes()
    place = whole.index(b"video 4") + 2000
    path.write_bytes(whole[:place])
    runs = index_tar(locate(str(path)), 2)
    assert [run[2] for run in runs] == [2, 2, 1]
    assert "cut.tar is cut or broken after 5 samples" in runs[-1][3]
    found = read(path, 2, tmp_path)
    assert [data is not None for _, data, _ in found] == [True] * 4 + [False]


def test_what_is_no_tar_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"\x89PNG" * 1000)
    with pytest.raises(InputError, match=r"x.tar cannot be read as a tar file"):
        index_tar(locate(str(tmp_path / "x.tar")), 2)


def test_tars_are_found_in_a_folder_or_by_name(tmp_path):
    write_tar(tmp_path / "1.tar", [])
    write_tar(tmp_path / "0.tar", [])
    assert [tar.name for tar in find_tars(locate(str(tmp_path)))] == ["0.tar", "1.tar"]
    assert [tar.name for tar in find_tars(locate(str(tmp_path / "1.tar")))] == ["1.tar"]
    assert find_tars(locate(str(tmp_path / "list.csv"))) == []
