"""What a packet says about itself before it is decoded, and with it which packets a decoder needs for some frames.

Two kinds of packets save work. A decoder may start anew at a *clean* one: no frame that is shown later refers to any
before it. A *disposable* one is referred to by none, so that it need not be decoded for any frame but its own.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

START_CODE = b"\0\0\1"
H264_SLICES, H264_IDR, H264_PARAMETERS = range(1, 6), 5, (7, 8, 15)
"""Types of units (ITU-T H.264, table 7-1)."""
HEVC_SLICES, HEVC_RANDOM_ACCESS, HEVC_PARAMETERS = range(32), range(16, 22), (32, 33, 34)
"""Types of units (ITU-T H.265, table 7-1). Even ones below 16 are of pictures that none of their layer refers to."""
AV1_FRAMES = (3, 6)
"""Types of units that begin with a frame's header (AV1 specification, 6.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What a packet is to a decoder."""

    clean: bool = False
    disposable: bool = False
    """No packet of its own layer or of a lower one refers to it."""
    layer: int = 0
    """Temporal layer (H.265, 7.4.2.2: pictures refer to their own and lower ones)."""
    shown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A packet without its data; times in ticks of the stream's clock."""

    start: int
    end: int
    nature: Nature


Classifier = Callable[[bytes], Nature]
"""What the packet with these bytes is, whatever its container calls it."""
KEY, OTHER, HIDDEN, LEAF = Nature(clean=True), Nature(), Nature(shown=False), Nature(disposable=True)
ALONE = Nature(clean=True, disposable=True)


def classifier(codec: str, intra_only: bool, extradata: bytes) -> Classifier | None:
    """For packets of the codec with FFmpeg's name `codec`; None for one of which too little is known here."""
    if intra_only:
        return lambda data: ALONE
    records = extradata[:1] == b"\1"  # of ISO 14496-15, in which units follow their lengths
    if codec == "h264":
        size = (extradata[4] & 3) + 1 if records and len(extradata) > 4 else 0
        return lambda data: nature_in_h264([unit[0] for unit in unit_headers(data, size)])
    if codec == "hevc":
        size = (extradata[21] & 3) + 1 if records and len(extradata) > 21 else 0
        return lambda data: nature_in_hevc([(unit[0], unit[1]) for unit in unit_headers(data, size)])
    return {"vp8": nature_in_vp8, "vp9": nature_in_vp9, "av1": nature_in_av1}.get(codec)


def unit_headers(data: bytes, length_size: int) -> Iterator[bytes]:
    """The first two bytes of each unit, behind a length of `length_size` bytes or, if that is 0, a start code."""
    at = 0
    while length_size and at + length_size + 2 <= len(data):
        yield data[at + length_size : at + length_size + 2]
        at += length_size + int.from_bytes(data[at : at + length_size])
    at = -1 if length_size else data.find(START_CODE)
    while 0 <= at < len(data) - 4:
        yield data[at + 3 : at + 5]
        at = data.find(START_CODE, at + 3)


def nature_in_h264(headers: Sequence[int]) -> Nature:
    """By the first byte of each unit (H.264, 7.3.1): two bits of nal_ref_idc, five of its type."""
    types = [header & 31 for header in headers]
    slices = [header for header, kind in zip(headers, types, strict=True) if kind in H264_SLICES]
    if not slices:
        return OTHER
    if all(header & 31 == H264_IDR for header in slices):
        return KEY
    alone = not any(header >> 5 & 3 for header in slices) and not set(types) & set(H264_PARAMETERS)
    return LEAF if alone else OTHER


def nature_in_hevc(headers: Sequence[tuple[int, int]]) -> Nature:
    """By the first two bytes of each unit (H.265, 7.3.1.2): six bits of its type, its layer in the last three."""
    types = [first >> 1 & 63 for first, _ in headers]
    slices = [kind for kind in types if kind in HEVC_SLICES]
    if not slices:
        return OTHER
    if all(kind in HEVC_RANDOM_ACCESS for kind in slices):
        return KEY
    alone = all(kind < 16 and kind % 2 == 0 for kind in slices) and not set(types) & set(HEVC_PARAMETERS)
    return Nature(disposable=alone, layer=max((second & 7) - 1 for _, second in headers))


def nature_in_vp8(data: bytes) -> Nature:
    """By the frame tag (RFC 6386, 9.1)."""
    if not data or not data[0] >> 4 & 1:
        return HIDDEN
    return OTHER if data[0] & 1 else KEY


def nature_in_vp9(data: bytes) -> Nature:
    """By the uncompressed header (VP9 bitstream specification, 6.2), of profiles 0 to 2: the third has a bit more."""
    profile_3 = len(data) > 0 and data[0] >> 4 & 3 == 3
    shows_existing_or_refers = not data or data[0] & (0b0110 if profile_3 else 0b1100)
    return OTHER if shows_existing_or_refers else KEY


def nature_in_av1(data: bytes) -> Nature:
    """By the first frame's header (AV1 specification, 5.9.2): not a frame seen before, a key frame, shown."""
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, at = leb128(data, at) if sized else (len(data) - at, at)
        if kind in AV1_FRAMES:
            return KEY if data[at : at + 1] and data[at] >> 4 == 1 else OTHER
        at += size
    return OTHER


def leb128(data: bytes, at: int) -> tuple[int, int]:
    """The number in groups of seven bits at `at` (AV1 specification, 4.10.5), and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + 8]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    return len(data), at


def stretches(stamps: Sequence[Stamp], wanted: Set[int]) -> list[range]:
    """Runs of `stamps`, which are in decoding order, that give each of `wanted` as decoding everything does.

    A decoder starts anew at each run. Raises ValueError if one cannot be had so.
    """
    clean = [number for number, stamp in enumerate(stamps) if stamp.nature.clean]
    runs: list[range] = []
    for number in sorted(wanted):
        place = bisect_right(clean, number) - 1
        while place >= 0 and stamps[clean[place]].start > stamps[number].start:
            place -= 1  # a frame that is shown before the clean one it follows may refer to earlier ones
        if place < 0:
            raise ValueError(f"no decoder can start before packet {number}")
        start = clean[place]
        while runs and start <= runs[-1].stop:
            start = min(start, runs.pop().start)
        runs.append(range(start, number + 1))
    return runs


def needed(stamps: Sequence[Stamp], wanted: Set[int]) -> list[list[int]]:
    """`stretches` without what nothing refers to."""
    top = max(stamp.nature.layer for stamp in stamps)
    return [
        [n for n in run if n in wanted or not (stamps[n].nature.disposable and stamps[n].nature.layer == top)]
        for run in stretches(stamps, wanted)
    ]
