"""Unpacking: whatever was packed comes back, in whatever pieces it arrives; whatever else was sent is an error."""

import gzip
import sys
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetching.bodies import CODINGS, PIECE, BodyError, Unpacker, unpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate ": bare_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "identity": bytes,
}
TEXT = b"".join(b"%d bottles of beer; " % number for number in range(20_000))


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("size", [1, 2, 1000, 10_000_000])
def test_what_was_packed_comes_back(encoding, size):
    for data in (b"", b"x", TEXT[:3000] if size < 1000 else TEXT, b"\0" * 3_000_000 if size > 2 else b"\0" * 70_000):
        assert unpack(in_pieces(PACKERS[encoding](data), size), encoding, len(data), 1e9) == data


@given(st.binary(max_size=3000), st.sampled_from(sorted(PACKERS)), st.sampled_from(sorted(PACKERS)), st.integers(1, 99))
def test_two_codings_come_off_in_the_order_that_they_were_put_on(data, first, second, size):
    packed = PACKERS[second](PACKERS[first](data))
    assert unpack(in_pieces(packed, size), f"{first}, {second.upper()}", 3000) == data


def outcome(data: bytes, encoding: str, size: int) -> int | str:
    """How much came, or why nothing did."""
    try:
        return len(unpack(in_pieces(data, size), encoding, 100_000))
    except BodyError as error:
        return error.reason


@given(st.binary(max_size=500), st.sampled_from(sorted(CODINGS)), st.integers(1, 99))
def test_anything_else_is_an_error_or_a_body_within_the_bounds(data, encoding, size):
    found = outcome(data, encoding, size)
    assert found in ("broken_body", "compression_bomb", "too_large") or int(found) <= 100_000


@given(st.sampled_from(sorted(PACKERS)), st.integers(0, 2999), st.integers(0, 255))
def test_a_flipped_byte_is_an_error_or_a_body_within_the_bounds(encoding, place, value):
    packed = bytearray(PACKERS[encoding](TEXT[:9000]))
    packed[place % len(packed)] = value
    found = outcome(bytes(packed), encoding, 1000)
    assert found in ("broken_body", "too_large") or int(found) <= 100_000


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "x-gzip"])
def test_members_follow_one_another(encoding):
    packed = PACKERS[encoding](b"one ") + PACKERS[encoding](b"two ") + PACKERS[encoding](b"three")
    for size in (1, 7, len(PACKERS[encoding](b"one ")), 1000):
        assert unpack(in_pieces(packed, size), encoding, 100) == b"one two three"


@pytest.mark.parametrize("encoding", sorted(set(PACKERS) - {"identity"}))
def test_a_cut_body_is_an_error(encoding):
    packed = PACKERS[encoding](TEXT)
    for length in (1, 3, 20, len(packed) // 2, len(packed) - 1):
        with pytest.raises(BodyError, match="broken_body"):
            unpack([packed[:length]], encoding, 10_000_000, 1e9)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_the_bound_is_exact_and_nothing_is_unpacked_ahead(encoding):
    packed = PACKERS[encoding](b"\0" * 5_000_000)
    assert len(unpack([packed], encoding, 5_000_000, 1e9)) == 5_000_000
    with pytest.raises(BodyError, match="too_large"):
        unpack([packed], encoding, 4_999_999, 1e9)
    assert len(next(Unpacker(encoding).feed(packed))) < 2 * PIECE


def test_the_ratio_counts_from_a_megabyte_on():
    assert len(unpack([zlib.compress(b"\0" * 1_000_000)], "deflate", 10_000_000, 10)) == 1_000_000
    with pytest.raises(BodyError, match="compression_bomb"):
        unpack([zlib.compress(b"\0" * 1_100_000)], "deflate", 10_000_000, 10)


@pytest.mark.parametrize("encoding", ["utf-8", "compress", "gzip, sdch", "gzip,gzip,gzip,gzip"])
def test_an_encoding_that_is_not_known_is_named(encoding):
    with pytest.raises(BodyError, match="unknown_encoding"):
        Unpacker(encoding)
