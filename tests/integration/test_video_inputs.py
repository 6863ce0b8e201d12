"""`pipeline.video` whole: every kind of input and text, what the web does, and a run that goes on."""

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from pipeline import video
from shards.dataset import open_dataset
from shards.document import Document, Text

LOOPBACK = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0", "--fetch.retries", "0"]
pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def videos(material: Path) -> Path:
    return material / "videos"


def run(tmp_path: Path, place: Path, *argv: str) -> list[Document]:
    """The documents of a run on `place`."""
    assert video.main(["--input", str(place), "--output", str(tmp_path / "out"), *argv]) == 0
    return list(open_dataset(str(tmp_path / "out")).documents())


def drops(tmp_path: Path) -> dict[str, int]:
    return dict(open_dataset(str(tmp_path / "out")).manifest.drops)


def shape(document: Document) -> list[str]:
    return [
        block.text if isinstance(block, Text) else f"{block.url.rpartition('/')[2]} {len(block.frames)}"
        for block in document.blocks
    ]


def names(documents: list[Document]) -> list[str]:
    """Of the files that they came from."""
    return [Path(document.source.partition("#")[0]).name for document in documents]


def write_list(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "caption", "subtitles"), *rows])
    return path


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def films(videos: Path, tmp_path: Path) -> Path:
    """A folder with every kind of text beside a video, or inside it."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name, target in (
        ("rabbit320_task.webm", "a.webm"),
        ("rabbit320_task.en.vtt", "a.en.vtt"),
        ("cockatoo.mp4", "b.mp4"),
        ("webvtt.mkv", "c.mkv"),
        ("frog.webm", "d.webm"),
        ("pig.webm", "e.webm"),
    ):
        shutil.copy(videos / name, folder / target)
    (folder / "b.srt").write_text("1\n00:00:00,500 --> 00:00:03,000\nA bird.\n\n2\n00:00:09,000 --> 00:00:99,000\nx\n")
    (folder / "d.json").write_text(json.dumps({"caption": "A frog.", "url": "http://x.org/frog"}))
    return folder


def test_a_document_for_each_video(films, tmp_path):
    found = {Path(each.source).name: each for each in run(tmp_path, films, "--clip_seconds", "6")}
    assert shape(found["a.webm"]) == [
        "a.webm#t=0,5.739 6",
        "This is the first subtitle.",
        "a.webm#t=5.739,7.8 2",
        "This is the second. And this is the third!",
    ]
    assert shape(found["c.mkv"]) == ["c.mkv#t=0,2 2", "oop boop"]
    assert shape(found["d.webm"])[1:] == ["A frog."]
    assert found["d.webm"].facts == {"url": "http://x.org/frog"}
    assert "e.webm" not in found
    assert drops(tmp_path)["video_no_text"] >= 1


def test_a_document_for_each_cue(films, tmp_path):
    found = [shape(each) for each in run(tmp_path, films, "--per", "cue", "--text", "subtitles")]
    assert found == [
        ["a.webm#t=2.01,3.5 1", "This is the first subtitle."],
        ["a.webm#t=5.739,6.074 1", "This is the second."],
        ["a.webm#t=6.901,7.8 1", "And this is the third!"],
        ["b.mp4#t=0.5,3 2", "A bird."],
        ["b.mp4#t=9,14 5", "x"],
        ["c.mkv#t=0.523,1.016 1", "oop"],
        ["c.mkv#t=1.523,1.916 1", "boop"],
    ]
    assert drops(tmp_path) == {"video_no_subtitles": 2}


def test_a_document_for_each_clip_and_a_rerun_that_changes_nothing(films, tmp_path):
    argv = ["--per", "clip", "--clip_seconds", "5", "--chunk_videos", "2", "--text", "caption"]
    (films / "b.txt").write_text("A cockatoo.")
    first = run(tmp_path, films, *argv)
    assert [len(each.media[0].frames) for each in first if "b.mp4" in each.source] == [5, 5, 4]
    assert {each.texts[0].text for each in first} == {"A cockatoo.", "A frog."}
    before = state(tmp_path / "out")
    assert run(tmp_path, films, *argv) == first
    assert state(tmp_path / "out") == before


def test_videos_and_subtitles_from_the_web(site, videos, tmp_path):
    film = (videos / "rabbit320_task.webm").read_bytes()
    site.file("/film.webm", film, "video/webm")
    site.file("/large.webm", film + bytes(200_000), "video/webm")
    site.file("/film.vtt", (videos / "rabbit320_task.en.vtt").read_bytes(), "text/vtt")
    site.file("/list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "video/mp4")
    site.file("/closed.webm", film, "video/webm")
    site.answers["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /closed")
    names = ("film.webm", "large.webm", "list.mp4", "closed.webm", "gone.webm")
    rows = [(f"{site.url}/{name}", "A rabbit.", "") for name in names]
    rows += [(f"{site.url}/film.webm", "", f"{site.url}/film.vtt"), ("http://10.0.0.1/film.webm", "A rabbit.", "")]
    rows += [(f"{site.url}/film.webm", "", f"{site.url}/gone.vtt"), ("ftp://x.org/film.webm", "A rabbit.", "")]
    argv = ["--subtitles-col", "subtitles", "--fetch_bytes", "400000", *LOOPBACK]
    found = run(tmp_path, write_list(tmp_path / "list.csv", *rows), *argv)
    assert [shape(each)[0] for each in found] == ["film.webm 8", "film.webm#t=0,7.8 8"]
    assert drops(tmp_path) == {
        "caption_http_404": 1,
        "video_forbidden_address": 1,
        "video_http_404": 1,
        "video_no_text": 1,
        "video_not_a_video": 1,
        "video_robots": 1,
        "video_too_large": 1,
        "video_unreadable": 1,
    }
    assert site.requests.count("/film.webm") == 1, "an address is fetched once a run"


def test_what_the_web_did_not_give_is_asked_for_again(site, videos, tmp_path):
    film, subtitles = ((videos / f"rabbit320_task.{kind}").read_bytes() for kind in ("webm", "en.vtt"))
    for name in ("a", "b", "c"):
        site.file(f"/{name}.webm", film, "video/webm")
        site.file(f"/{name}.vtt", subtitles, "text/vtt")
    site.answers["/b.webm"] = (503, {"Retry-After": "0"}, b"later")
    rows = [(f"{site.url}/{name}.webm", "", f"{site.url}/{name}.vtt") for name in ("a", "b", "c")]
    place = write_list(tmp_path / "list.csv", *rows)
    argv = ["--subtitles-col", "subtitles", "--per", "cue", *LOOPBACK]
    first = run(tmp_path, place, *argv)
    assert names(first) == ["a.webm"] * 3 + ["c.webm"] * 3
    site.file("/b.webm", film, "video/webm")
    site.requests.clear()
    again = run(tmp_path, place, *argv, "--retry-failed")
    assert names(again) == ["a.webm"] * 3 + ["b.webm"] * 3 + ["c.webm"] * 3
    assert [each for each in again if "b.webm" not in each.source] == first
    assert not {"/a.webm", "/c.webm"} & set(site.requests)
    assert drops(tmp_path) == {}


def test_tar_files_of_video2dataset(videos, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    film = (videos / "frog.webm").read_bytes()
    for tar, keys in (("00000.tar", range(3)), ("00001.tar", range(3, 5))):
        with tarfile.open(folder / tar, "w") as archive:
            for key in keys:
                record = {"url": f"http://x.org/{key}", "status": "failed_to_download" if key == 1 else "success"}
                members = {"json": json.dumps(record).encode(), "txt": b"Frog %d." % key}
                for suffix, data in ({"webm": film} | members if key != 1 else members).items():
                    info = tarfile.TarInfo(f"{key:09d}.{suffix}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    (tmp_path / "opt_out.txt").write_text("http://x.org/4\n")
    argv = ["--chunk_videos", "2", "--opt_out", str(tmp_path / "opt_out.txt")]
    found = run(tmp_path, folder, *argv)
    assert [each.texts[0].text for each in found] == ["Frog 0.", "Frog 2.", "Frog 3."]
    assert [each.facts["url"] for each in found] == ["http://x.org/0", "http://x.org/2", "http://x.org/3"]
    assert found[0].source.endswith("set/00000.tar#000000000")
    assert drops(tmp_path) == {"video_not_downloaded": 1, "video_opted_out": 1}


def test_a_limit_and_an_estimate(videos, tmp_path, capsys):
    rows = [(str(videos / "realshort.mp4"), f"Number {number}.", "") for number in range(4)]
    found = run(tmp_path, write_list(tmp_path / "list.csv", *rows), "--limit", "2")
    assert [each.texts[0].text for each in found] == ["Number 0.", "Number 1."]
    assert "The whole, 4 videos, would take about" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--per", "scene"], "per"),
        (["--clip_seconds", "0"], "clip_seconds is 0.0; it must be greater than 0"),
        (["--caption_col", "said"], "has no column 'said'"),
        (["--text", "lyrics"], "text"),
    ],
)
def test_what_is_refused_is_said_in_a_sentence(tmp_path, capsys, argv, sentence):
    place = write_list(tmp_path / "list.csv", ("a.mp4", "A.", ""))
    assert video.main(["--input", str(place), "--output", str(tmp_path / "out"), *argv]) == 2
    assert sentence in capsys.readouterr().err
