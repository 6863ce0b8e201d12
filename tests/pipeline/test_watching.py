"""One video through the job's hands: where its bytes are got, what is chosen, what is cleaned up."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import fs

from pipeline import watching
from pipeline.door import Fetched, FetchError
from pipeline.fetching.opt_out import NOBODY
from pipeline.inputs.embedded import read_embedded
from pipeline.inputs.video_sets import Video
from pipeline.ledger import Outcome
from pipeline.video_documents import Cutting
from pipeline.watching import Sampling, Watcher, Watching
from shards.chunk import Tally
from shards.location import Location, locate

SAMPLING = Sampling(
    frames_per_second=1.0,
    short_side=64,
    decoder="pyav",
    max_frames=5,
    deadline_seconds=60,
    memory_bytes=1 << 30,
)
WATCHING = Watching(
    sampling=SAMPLING,
    cutting=Cutting(per="video", clip_seconds=22, frames_per_second=1.0),
    text="any",
    language="",
    caption_key="caption",
    fetch_bytes=1_000_000,
    copy_bytes=1_000_000,
)


class Shelf:
    """A door to what a test puts there."""

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        self.bodies = bodies

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        if url not in self.bodies:
            raise FetchError("http_404")
        return Fetched(url=url, content_type="", data=self.bodies[url])


def watched(
    scratch: Path, video: Video, given: Watching = WATCHING, tally: Tally | None = None, **bodies: bytes
) -> Outcome:
    door = Shelf({f"http://x.org/{name}": data for name, data in bodies.items()})
    watcher = Watcher(given, door, NOBODY, scratch, tally or Tally())
    outcome = asyncio.run(watcher.watch(video))
    assert list(scratch.iterdir()) == [], "a copy was left"
    return outcome


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def frog(material: Path) -> Path:
    return material / "videos" / "frog.webm"


@pytest.fixture
def remote(frog: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a file on a file system that is not the local one."""
    elsewhere = fs.SubTreeFileSystem(str(frog.parent), fs.LocalFileSystem())

    def find(uri: str) -> Location:
        there = uri.startswith("s3://")
        return Location(filesystem=elsewhere, path=uri.removeprefix("s3://")) if there else locate(uri)

    monkeypatch.setattr(watching, "locate", find)
    return "s3://frog.webm"


def reason(outcome: Outcome) -> str:
    assert outcome.document is None
    return outcome.record.entries[-1].reason


def test_a_local_file(scratch, frog):
    tally = Tally()
    outcome = watched(scratch, Video(name=str(frog), caption="A  frog."), tally=tally)
    assert outcome.document
    assert outcome.document.texts[0].text == "A frog."
    assert len(outcome.document.media[0].frames) == 5
    assert tally.counts["frames"] == 5
    assert tally.counts["frames_left_out"] > 0


def test_a_remote_file_is_copied_up_to_a_bound(scratch, remote):
    assert watched(scratch, Video(name=remote, caption="A frog.")).document
    small = replace(WATCHING, copy_bytes=1000)
    assert reason(watched(scratch, Video(name=remote, caption="A frog."), small)) == "too_large"
    assert reason(watched(scratch, Video(name="s3://gone.webm", caption="A frog."))) == "unreadable"


def test_a_copy_from_a_tar_goes_when_it_was_read(scratch, frog):
    (scratch / "copy.webm").write_bytes(frog.read_bytes())
    video = Video(name="0.tar#0", texts={"txt": b"A frog."}, copy=str(scratch / "copy.webm"))
    assert watched(scratch, video).document
    (scratch / "copy.webm").write_bytes(b"no video")
    assert reason(watched(scratch, video)) == "not_a_video"
    assert reason(watched(scratch, replace(video, copy=""))) == "not_in_tar"


def test_texts_beside_a_video_come_from_disk_and_from_the_web(scratch, frog, tmp_path):
    (tmp_path / "frog.srt").write_bytes(b"1\n00:00:01,000 --> 00:00:02,000\nOn disk.\n")
    places = {str(tmp_path / "frog.srt"): "On disk.", "http://x.org/subtitles": "On the web."}
    for path, text in places.items():
        video = Video(name=str(frog), caption="Unused.", sidecars={"srt": path})
        outcome = watched(scratch, video, subtitles=b"1\n00:00:01,000 --> 00:00:02,000\nOn the web.\n")
        assert outcome.document
        assert outcome.document.texts[0].text == text


def test_a_text_that_cannot_be_had_is_told_and_the_caption_stands_in(scratch, frog, tmp_path):
    sidecars = {"vtt": "http://x.org/gone", "srt": str(tmp_path / "gone.srt")}
    outcome = watched(scratch, Video(name=str(frog), caption="A frog.", sidecars=sidecars))
    assert outcome.document
    told = [(entry.kind, entry.reason) for entry in outcome.record.entries[:2]]
    assert told == [("caption", "http_404"), ("caption", "unreadable")]


@pytest.mark.parametrize(
    ("text", "caption", "wanted"),
    [
        ("any", "A caption.", "A caption."),
        ("any", "", "oop boop"),
        ("subtitles", "A caption.", "oop boop"),
        ("caption", "A caption.", "A caption."),
        ("caption", "", "no_text"),
    ],
)
def test_which_text_is_taken(scratch, material, text, caption, wanted):
    video = Video(name=str(material / "videos" / "webvtt.mkv"), caption=caption)
    outcome = watched(scratch, video, replace(WATCHING, text=text))
    assert (outcome.document.texts[0].text if outcome.document else reason(outcome)) == wanted


def test_a_file_that_breaks_is_marked(scratch, material):
    outcome = watched(scratch, Video(name=str(material / "videos" / "corrupted.mp4"), caption="Broken."))
    assert outcome.document
    whole = watched(scratch, Video(name=str(material / "videos" / "realshort.mp4"), caption="Whole."))
    assert whole.document
    assert [each.measures["truncated"] for each in (outcome.document, whole.document)] == [1.0, 0.0]


def test_a_decoder_that_hangs_costs_its_video(scratch, frog):
    late = replace(WATCHING, sampling=replace(SAMPLING, deadline_seconds=0.01))
    assert reason(watched(scratch, Video(name=str(frog), caption="A frog."), late)) == "deadline"


def test_mutated_films_give_cues_or_a_reason(material, tmp_path):
    """60 files, seed 5; each answer comes within the deadline, and nothing is raised."""
    chance = random.Random(5)
    whole = (material / "videos" / "webvtt.mkv").read_bytes()
    for number in range(60):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 40)):
            data[chance.randrange(64, len(data))] = chance.randrange(256)
        (tmp_path / "film.mkv").write_bytes(data[: len(data) if number % 3 else chance.randrange(64, len(data))])
        found = read_embedded(str(tmp_path / "film.mkv"), language="", deadline_seconds=60, memory_bytes=1 << 30)
        assert not (found.reason and found.cues)
        assert found.reason in ("", "no_subtitles", "damaged_container", "subtitles_crashed", "not_a_video")
