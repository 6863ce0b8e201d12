"""How a video is cut: clips that together are the whole, no cue cut that need not be, frames by time."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clips import Clip, clip_of_cue, clips_of_cues, clips_of_text, frames_of
from pipeline.frames import SampledVideo
from pipeline.inputs.captions import Cue
from pipeline.ledger import Record
from pipeline.video_documents import Cutting, Per, Spoken, make_documents
from shards.document import Document, Frame, Text


def cue(start: float, end: float, text: str = "x") -> Cue:
    return Cue(start=start, end=end, text=text)


def frames(number: int, rate: float = 1.0) -> tuple[Frame, ...]:
    return tuple(Frame(data=b"", format="jpg", width=1, height=1, seconds=n / rate) for n in range(number))


def times(clips: list[Clip]) -> list[tuple[float, float, str]]:
    return [(clip.start, clip.end, clip.text) for clip in clips]


def test_clips_end_between_cues():
    """At 10 s `b` is shown, so that the first clip ends where it begins; at 19 s nothing is."""
    cues = [cue(1, 3, "a"), cue(9, 12, "b"), cue(13, 14, "c")]
    assert times(clips_of_cues(cues, 25, 10)) == [(0, 9, "a"), (9, 19, "b c"), (19, 25, "")]


def test_overlapping_cues_stay_whole():
    cues = [cue(2, 9, "a"), cue(8, 11, "b"), cue(9.5, 12, "c")]
    assert times(clips_of_cues(cues, 12, 10)) == [(0, 2, ""), (2, 12, "a b c")]


def test_a_cue_that_is_longer_than_a_clip_is_cut():
    assert times(clips_of_cues([cue(0, 25, "long"), cue(26, 27, "b")], 30, 10)) == [
        (0, 10, "long"),
        (10, 20, ""),
        (20, 30, "b"),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), max_size=30),
    st.integers(1, 1000),
    st.integers(10, 300),
)
def test_clips_are_a_partition_and_lose_no_cue(shown, duration, longest):
    """In tenths of a second, so that sums are exact."""
    cues = sorted(
        (cue(start, start + length, f"{n}") for n, (start, length) in enumerate(shown)), key=lambda c: c.start
    )
    cues = [each for each in cues if each.start < duration]
    clips = clips_of_cues(cues, duration, longest)
    assert [clips[0].start, clips[-1].end] == [0, duration]
    assert all(before.end == after.start for before, after in itertools.pairwise(clips))
    assert all(0 < clip.end - clip.start <= longest for clip in clips)
    assert sorted(" ".join(clip.text for clip in clips).split()) == sorted(each.text for each in cues)
    for clip in clips[:-1]:
        within = [each for each in cues if clip.start < each.start < clip.end < each.end]
        assert not within, "a cue is cut that could have stood in the next clip"


@pytest.mark.parametrize(("duration", "wanted"), [(0.5, [0.5]), (22, [22]), (22.5, [22, 0.5]), (50, [22, 22, 6])])
def test_a_text_without_times_belongs_to_every_clip(duration, wanted):
    clips = clips_of_text("said", duration, 22)
    assert [clip.end - clip.start for clip in clips] == wanted
    assert {clip.text for clip in clips} == {"said"}


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [(0, 3, [0, 1, 2]), (1.5, 3, [2]), (2.1, 2.9, [2]), (0.2, 0.4, [0]), (4.5, 9, [4]), (3, 3.5, [3])],
)
def test_frames_are_those_sampled_within_or_the_last_before(start, end, wanted):
    shown = frames_of(Clip(start=start, end=end, text=""), frames(5))
    assert [frame.seconds for frame in shown] == wanted


def test_a_long_cue_is_shown_from_its_beginning():
    assert clip_of_cue(cue(5, 60), 100, 22).end == 27
    assert clip_of_cue(cue(95, 160), 100, 22).end == 100


def test_a_stretch_is_named_as_media_fragments_are():
    assert Clip(start=0, end=3605.7391, text="").fragment == "#t=0,3605.739"


def made(
    per: Per, *cues: Cue, caption: str = "", duration: float = 30.0, clip_seconds: float = 10.0
) -> tuple[list[Document], Record]:
    video = SampledVideo(frames=frames(math.ceil(duration)), duration=duration, truncated=False, omitted=0)
    record = Record("film.mp4")
    spoken = Spoken(source="film.mp4", cues=cues, caption=caption, facts={})
    cutting = Cutting(per=per, clip_seconds=clip_seconds, frames_per_second=1.0)
    return make_documents(video, spoken, cutting, record), record


def layout(document: Document) -> list[str]:
    return [
        block.text if isinstance(block, Text) else f"{block.url.partition('#')[2]} {len(block.frames)}"
        for block in document.blocks
    ]


CUES = (cue(1, 3, "Hello."), cue(4, 6, "You?"), cue(21, 24, "Bye."))


def test_a_film_becomes_clips_and_sentences():
    (film,), record = made("video", *CUES)
    assert layout(film) == ["t=0,10 10", "Hello. You?", "t=20,30 10", "Bye."]
    assert [(entry.kind, entry.reason, entry.address, entry.number) for entry in record.entries] == [
        ("video", "no_text", "film.mp4#t=10,20", -1),
        ("video", "", "film.mp4#t=0,10", 0),
        ("video", "", "film.mp4#t=20,30", 1),
        ("document", "", "film.mp4", -1),
    ]
    assert (record.key, record.documents, film.measures) == (film.key, 1, {"seconds": 20.0, "truncated": 0.0})


def test_a_document_for_each_clip():
    documents, record = made("clip", *CUES)
    assert [layout(each) for each in documents] == [["t=0,10 10", "Hello. You?"], ["t=20,30 10", "Bye."]]
    assert record.documents == 2
    assert len({each.key for each in documents}) == 2
    assert [each.source for each in documents] == ["film.mp4#t=0,10", "film.mp4#t=20,30"]


def test_a_document_for_each_cue():
    documents, record = made("cue", *CUES, cue(31, 32, "late"), cue(2, 2, "never"))
    assert [layout(each) for each in documents] == [["t=1,3 2", "Hello."], ["t=4,6 2", "You?"], ["t=21,24 3", "Bye."]]
    assert [(entry.reason, entry.address) for entry in record.entries[:2]] == [
        ("bad_times", "film.mp4#t=2,2"),
        ("after_end", "film.mp4#t=31,32"),
    ]


@pytest.mark.parametrize(
    ("per", "wanted"),
    [
        ("video", [[" 30", "A film."]]),
        ("clip", [["t=0,10 10", "A film."], ["t=10,20 10", "A film."], ["t=20,30 10", "A film."]]),
        ("cue", [["t=0,10 10", "A film."]]),
    ],
)
def test_a_caption_belongs_to_the_whole(per, wanted):
    documents, _ = made(per, caption="A film.")
    assert [layout(each) for each in documents] == wanted


def test_a_caption_stands_in_for_cues_that_cannot_be_used():
    (film,), record = made("video", cue(40, 50, "late"), caption="A film.")
    assert layout(film) == [" 30", "A film."]
    assert record.entries[0].reason == "after_end"


def test_a_film_in_which_nothing_is_said_gives_nothing():
    documents, record = made("video", cue(40, 50, "late"))
    assert documents == []
    assert (record.key, record.documents) == ("", 0)
    assert [entry.reason for entry in record.entries] == ["after_end", "no_text"]


def test_the_key_follows_from_the_stretch_and_the_text():
    keys = {made("clip", cue(1, 3, text))[0][0].key for text in ("a", "b", "a")}
    assert len(keys) == 2
