"""Subtitles: what WebVTT says, what SubRip files look like, and bytes that are neither."""

import html
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inputs.captions import MOST_CHARACTERS, MOST_CUES, Cue, read_captions, usable

VTT = b"""\xef\xbb\xbfWEBVTT - a header
Kind: captions

STYLE
::cue { color: lime }

NOTE a comment
of two lines

1
00:01.000 --> 00:04.000 line:0 position:20%
Never drink <b>liquid</b> <c.chemical>nitrogen</c>.

chapter two
01:00:05.000 --> 01:00:09.500
<v Roger Bingham>It will perforate &amp; <00:06.000>&lt;burn&gt;
your stomach
"""
SRT = '1\r\n00:00:04,070 --> 00:00:10,047 X1:40 X2:600\r\nThe <b>first</b> line,\r\n\r\nand 3 < 4\r\n\r\n2\r\n\
0:1:2.5 --> 00:01:04,25\r\n{\\an8}<font color="red">42</font>\r\n\r\n3\r\n00:02:00,000 --> 00:02:01,000\r\n7'


def cues(data: bytes) -> list[tuple[float, float, str]]:
    return [(cue.start, cue.end, cue.text) for cue in read_captions(data)]


def said(text: str) -> list[str]:
    """The texts of a WebVTT file with one cue, which is `text`."""
    return [cue.text for cue in read_captions(f"WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n".encode())]


def test_webvtt_as_its_examples_have_it():
    assert cues(VTT) == [
        (1.0, 4.0, "Never drink liquid nitrogen."),
        (3605.0, 3609.5, "It will perforate & <burn>\nyour stomach"),
    ]


def test_subrip_as_programs_write_it():
    assert cues(SRT.encode()) == [
        (4.07, 10.047, "The first line,\nand 3 < 4"),
        (62.5, 64.25, "42"),
        (120.0, 121.0, "7"),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
def test_every_line_ending(newline):
    assert cues(VTT.replace(b"\n", newline.encode())) == cues(VTT)
    assert cues(SRT.replace("\r\n", newline).encode()) == cues(SRT.encode())


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "windows-1251"])
def test_subrip_in_the_encodings_that_it_comes_in(codec):
    text = "Мороз и солнце; день чудесный! Ещё ты дремлешь, друг прелестный"
    data = f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n".encode(codec)
    assert cues(data) == [(1.0, 2.0, text)]


@pytest.mark.parametrize(
    ("timings", "wanted"),
    [
        ("00:00.000 --> 00:01.000", [(0.0, 1.0)]),
        ("  00:00.000-->00:01.000", [(0.0, 1.0)]),
        ("123:00:00.000 --> 123:00:01.000", [(442800.0, 442801.0)]),
        ("1:00:00.000 --> 1:00:01.000", [(3600.0, 3601.0)]),
        ("0:00.000 --> 00:01.000", []),
        ("00:00,000 --> 00:01,000", []),
        ("00:00.00 --> 00:01.00", []),
        ("00:00.0000 --> 00:01.000", []),
        ("00:60.000 --> 00:61.000", []),
        ("00:00.000 -> 00:01.000", []),
        ("٠٠:00.000 --> 00:01.000", []),
    ],
)
def test_timings_of_webvtt_are_read_by_its_rules(timings, wanted):
    assert [times[:2] for times in cues(f"WEBVTT\n\n{timings}\ntext\n".encode())] == wanted


@pytest.mark.parametrize("name", ["<ruby>漢<rt>kan</rt>字<rt>ji</ruby>.", "漢<rt.small>kan</rt>字."])
def test_of_ruby_the_base_is_kept(name):
    assert said(name) == ["漢字."]


def test_markup_that_is_broken_loses_no_text_before_it():
    assert said("one <i>two</b> three <c.unclosed") == ["one two three"]


def test_a_cue_ends_at_an_empty_line_or_at_the_next_arrow():
    data = b"WEBVTT\n\n00:00.000 --> 00:01.000\none\n00:01.000 --> 00:02.000\ntwo\n\nthree\n"
    assert cues(data) == [(0.0, 1.0, "one"), (1.0, 2.0, "two")]


def test_subrip_by_the_name_of_webvtt_and_the_other_way_round():
    assert cues(b"00:01.000 --> 00:02.000\ntext\n") == [(1.0, 2.0, "text")]
    assert cues(b"WEBVTTX\n\nno cue\n") == []


def test_what_cannot_be_used_has_a_reason():
    given = [
        Cue(start=1, end=2, text="one\ntwo"),
        Cue(start=3, end=3, text="never shown"),
        Cue(start=4, end=5, text=""),
        Cue(start=6, end=7, text="x" * (MOST_CHARACTERS + 1)),
    ]
    kept, dropped = usable(given)
    assert kept == given[:1]
    assert [cue.reason for cue in dropped] == ["bad_times", "no_text", "too_long"]


def test_lines_that_roll_up_are_said_once():
    """YouTube shows each line twice: new below the one before, then above the next."""
    rolling = [(0, 2, "one"), (2, 2.01, "one"), (2.01, 4, "one\ntwo"), (4, 4.01, "two"), (4.01, 6, "two\nthree")]
    kept, dropped = usable(Cue(start=start, end=end, text=text) for start, end, text in rolling)
    assert [cue.text for cue in kept] == ["one", "two", "three"]
    assert [cue.reason for cue in dropped] == ["repeated", "repeated"]


def test_a_line_that_is_said_again_later_is_kept():
    kept, dropped = usable([Cue(start=0, end=1, text="No."), Cue(start=2, end=3, text="No.")])
    assert len(kept) == 2
    assert not dropped


def test_the_order_is_that_of_time():
    late, early = Cue(start=5, end=6, text="b"), Cue(start=1, end=2, text="a")
    assert usable([late, early])[0] == [early, late]


@given(st.lists(st.tuples(st.integers(0, 359_999_999), st.integers(1, 10_000), st.text("abc é<&", min_size=1))))
def test_what_is_written_is_read(written):
    """Milliseconds and texts, escaped as WebVTT wants it."""

    def stamp(ms: int) -> str:
        return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"

    lines = ["WEBVTT", ""]
    for start, length, text in written:
        lines += [f"{stamp(start)} --> {stamp(start + length)}", html.escape(text, quote=False), ""]
    wanted = [((start) / 1000, (start + length) / 1000, " ".join(text.split())) for start, length, text in written]
    assert cues("\n".join(lines).encode()) == wanted


def test_mutated_files_give_cues_or_none(material):
    """2,000 files, seed 7: bytes changed, cut out, repeated."""
    chance = random.Random(7)
    originals = [VTT, SRT.encode(), (material / "videos" / "rabbit320_task.en.vtt").read_bytes()]
    for _ in range(2000):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.randint(1, 20)):
            place = chance.randrange(len(data) + 1)
            kind = chance.randrange(3)
            if kind == 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            elif kind == 1:
                del data[place : place + chance.randint(1, 30)]
            else:
                data[place:place] = data[chance.randrange(len(data) + 1) :][: chance.randint(1, 60)]
        found = read_captions(bytes(data))
        kept, dropped = usable(found)
        assert len(kept) + len(dropped) == len(found)
        assert all(cue.end > cue.start >= 0 and cue.text.strip() for cue in kept)


@pytest.mark.parametrize(
    "unit",
    [b"00:00.000 --> 00:01.000\n", b"<rt", b"<", b"&", b"{\\", b"1\n", b"\n", b"-->\n", b"00:00:00,000 --> 0", b"<b"],
)
def test_a_megabyte_of_anything_is_read_in_one_pass(unit):
    """Nothing here looks at a clock: what took time with the square of the size would not end."""
    for head in (b"WEBVTT\n\n00:00.000 --> 00:01.000\n", b"00:00:00,000 --> 00:00:01,000\n"):
        assert len(read_captions(head + unit * (1_000_000 // len(unit)))) <= MOST_CUES
