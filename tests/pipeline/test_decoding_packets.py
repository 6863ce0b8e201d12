"""Which packets are decoded: never fewer than the wanted frames refer to, and no more than that takes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decoding.packets import (
    KEY,
    LEAF,
    OTHER,
    Nature,
    Stamp,
    classifier,
    nature_in_av1,
    nature_in_vp8,
    nature_in_vp9,
    needed,
    stretches,
    unit_headers,
)

AVCC, HVCC = b"\1" + bytes(3) + b"\xff", b"\1" + bytes(20) + b"\xff"
"""Configuration records that say that lengths take four bytes."""


def units(*bodies: bytes) -> bytes:
    return b"".join(len(body).to_bytes(4) + body for body in bodies)


def stamped(starts: list[int], natures: list[Nature]) -> list[Stamp]:
    return [Stamp(start=start, end=start + 1, nature=nature) for start, nature in zip(starts, natures, strict=True)]


def test_units_behind_lengths_and_start_codes():
    assert list(unit_headers(units(b"\x09\xf0", b"\x65\x88\x84"), 4)) == [b"\x09\xf0", b"\x65\x88"]
    assert list(unit_headers(b"\0\0\0\1\x09\xf0\0\0\1\x65\x88\x84", 0)) == [b"\x09\xf0", b"\x65\x88"]
    assert list(unit_headers(b"\0\0\0\xff\x65\x88", 4)) == [b"\x65\x88"]
    assert list(unit_headers(b"\0\0", 4)) == list(unit_headers(b"", 0)) == []


@pytest.mark.parametrize(
    ("first_bytes", "nature"),
    [
        ((0x06, 0x65), KEY),  # SEI, IDR
        ((0x41,), OTHER),  # a slice with nal_ref_idc 2
        ((0x01,), LEAF),  # nal_ref_idc 0
        ((0x01, 0x41), OTHER),
        ((0x01, 0x68), OTHER),  # brings a picture parameter set
        ((0x06,), OTHER),
    ],
)
def test_h264(first_bytes: tuple[int, ...], nature: Nature):
    read = classifier("h264", False, AVCC)
    assert read is not None
    assert read(units(*(bytes((first, 0x88)) for first in first_bytes))) == nature


@pytest.mark.parametrize(
    ("headers", "nature"),
    [
        ([(19, 0)], KEY),  # IDR_W_RADL
        ([(21, 0)], KEY),  # CRA
        ([(1, 0)], OTHER),  # TRAIL_R
        ([(0, 0)], LEAF),  # TRAIL_N
        ([(8, 0)], LEAF),  # RASL_N
        ([(0, 1)], Nature(disposable=True, layer=1)),
        ([(0, 0), (34, 0)], OTHER),
        ([(39, 0)], OTHER),
    ],
)
def test_hevc(headers: list[tuple[int, int]], nature: Nature):
    read = classifier("hevc", False, HVCC)
    assert read is not None
    assert read(units(*(bytes((kind << 1, layer + 1)) for kind, layer in headers))) == nature


def test_vp8_vp9_av1():
    assert nature_in_vp8(b"\x10") == KEY
    assert nature_in_vp8(b"\x11") == OTHER
    assert not nature_in_vp8(b"\x01").shown
    assert nature_in_vp9(b"\x82") == nature_in_vp9(b"\xb0") == KEY
    assert nature_in_vp9(b"\x86") == nature_in_vp9(b"\x88") == nature_in_vp9(b"\xb2") == nature_in_vp9(b"") == OTHER
    delimiter, sequence = b"\x12\x00", b"\x0a\x02\x00\x00"
    assert nature_in_av1(delimiter + sequence + b"\x32\x01\x10") == KEY
    assert nature_in_av1(delimiter + b"\x32\x01\x30") == OTHER  # inter, shown
    assert nature_in_av1(delimiter + b"\x1a\x01\x80") == OTHER  # shows an existing one
    assert nature_in_av1(delimiter) == nature_in_av1(b"\x32") == OTHER


def test_codecs_of_which_too_little_is_known():
    assert classifier("mpeg4", False, b"") is None
    alone = classifier("mjpeg", True, b"")
    assert alone is not None
    assert alone(b"").clean


def test_a_decoder_starts_at_the_last_clean_packet_before():
    stamps = stamped(list(range(8)), [KEY, OTHER, LEAF, OTHER, KEY, OTHER, LEAF, OTHER])
    assert needed(stamps, {0}) == [[0]]
    assert needed(stamps, {3, 6}) == [[0, 1, 3, 4, 5, 6]]
    assert needed(stamps, {1, 7}) == [[0, 1], [4, 5, 7]]


def test_a_frame_shown_before_its_key_frame_needs_the_one_before():
    stamps = stamped([0, 1, 4, 2, 3, 5], [KEY, OTHER, KEY, LEAF, LEAF, OTHER])
    assert stretches(stamps, {4}) == [range(5)]
    assert stretches(stamps, {0, 2, 4}) == [range(5)]
    assert stretches(stamps, {5}) == [range(2, 6)]


def test_layers_below_the_highest_are_kept():
    low, high = Nature(disposable=True), Nature(disposable=True, layer=1)
    assert needed(stamped([0, 1, 2, 3], [KEY, low, high, OTHER]), {3}) == [[0, 1, 3]]


def test_no_packet_to_start_at():
    with pytest.raises(ValueError, match="no decoder can start before packet 1"):
        stretches(stamped([0, 1], [OTHER, OTHER]), {1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A stream that an encoder could have made, and to which packets each refers."""

    stamps: list[Stamp]
    references: list[set[int]]


@st.composite
def coded_streams(draw: st.DrawFn) -> Coded:
    """Groups of a key frame, frames shown before it and frames after it; leaves are referred to by none.

    No frame after a key frame refers to one before it; those shown before it may, up to the key frame before.
    """
    stamps: list[Stamp] = []
    previous = 0
    references: list[set[int]] = []
    for _ in range(draw(st.integers(1, 5))):
        key, clock = len(stamps), 100 * len(stamps)
        leading = draw(st.integers(0, 2)) if stamps else 0
        after = draw(st.integers(0, 6))
        stamps.append(Stamp(start=clock, end=clock, nature=KEY))
        references.append(set())
        for place in range(leading + after):
            number, is_leading = len(stamps), place < leading
            oldest = previous if is_leading else key
            older = [n for n in range(oldest, number) if stamps[n].start >= stamps[oldest].start]
            usable = [n for n in older if not stamps[n].nature.disposable]
            references.append(set(draw(st.lists(st.sampled_from(usable)))))
            start = clock + (place - leading if is_leading else place + 1)
            stamps.append(Stamp(start=start, end=start, nature=draw(st.sampled_from([LEAF, OTHER]))))
        previous = key
    return Coded(stamps=stamps, references=references)


def with_all_it_refers_to(references: list[set[int]], number: int) -> set[int]:
    found, open_ends = {number}, [number]
    while open_ends:
        for reference in references[open_ends.pop()] - found:
            found.add(reference)
            open_ends.append(reference)
    return found


@given(coded_streams(), st.data())
def test_all_that_a_wanted_frame_refers_to_is_decoded_with_it(coded: Coded, data: st.DataObject):
    wanted = data.draw(st.sets(st.integers(0, len(coded.stamps) - 1), min_size=1))
    runs = needed(coded.stamps, wanted)
    assert [number for run in runs for number in run] == sorted({number for run in runs for number in run})
    for number in wanted:
        run = next(run for run in runs if number in run)
        assert with_all_it_refers_to(coded.references, number) <= set(run)
