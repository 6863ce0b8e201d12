"""Payloads: chunked and encoded as crawlers store them, honestly or not, and never more than is asked for."""

import gzip
import io
import random
import tracemalloc
import zlib

import brotli
import pytest
from archive_bytes import PAGE, answer, record
from backports import zstd

from pipeline.archives.payloads import join_chunks, read_payload
from pipeline.archives.records import read_record
from pipeline.door import Fetched, FetchError


def read(data: bytes, most_bytes: int = 1_000_000) -> Fetched:
    return read_payload(read_record(io.BytesIO(data)), "http://a.org/", most_bytes)


def body(data: bytes, **fields: str) -> bytes:
    return read(record("http://a.org/", answer(data, **fields))).data


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


ENCODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_each_encoding_is_undone(name):
    assert body(ENCODINGS[name](PAGE), Content_Encoding=name) == PAGE
    assert body(ENCODINGS[name](PAGE), Content_Encoding=name.upper()) == PAGE


def test_bare_deflate_and_one_encoding_on_top_of_another():
    assert body(bare_deflate(PAGE), Content_Encoding="deflate") == PAGE
    assert body(brotli.compress(gzip.compress(PAGE)), Content_Encoding="gzip, br") == PAGE


@pytest.mark.parametrize("name", [*ENCODINGS, "none-of-these", "identity"])
def test_a_crawler_that_undid_the_encoding_and_kept_its_field(name):
    assert body(PAGE, Content_Encoding=name) == PAGE


def test_chunks_are_joined_with_extensions_and_trailers():
    chunks = b'5\r\nHello\r\n6;name="value"\r\n world\r\n0\r\nExpires: never\r\n\r\n'
    assert body(chunks, Transfer_Encoding="chunked") == b"Hello world"
    assert body(b"Hello world", Transfer_Encoding="chunked") == b"Hello world"
    packed = gzip.compress(PAGE)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    assert body(chunked, Transfer_Encoding="Chunked", Content_Encoding="gzip") == PAGE


def test_of_broken_chunks_what_came_is_kept():
    assert join_chunks(b"5\r\nHello\r\nffff\r\n wor") == b"Hello wor"
    assert join_chunks(b"5\r\nHello\r\nno chunk") == b"Hello"
    assert join_chunks(b"0\r\n\r\n") == b""
    assert join_chunks(b"") == b""


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_packed_body_that_is_cut_is_broken(name):
    with pytest.raises(FetchError, match=r"^broken_body$"):
        body(ENCODINGS[name](PAGE)[:-9], Content_Encoding=name)


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_bomb_stops_at_its_bound(name):
    packed = record("http://a.org/", answer(ENCODINGS[name](bytes(10**8)), Content_Encoding=name))
    tracemalloc.start()
    with pytest.raises(FetchError, match=r"^(too_large|compression_bomb)$"):
        read(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_long_body_is_too_large_and_one_of_the_bound_is_not():
    whole = record("http://a.org/", answer(b"x" * 1000))
    assert len(read(whole, most_bytes=1000).data) == 1000
    with pytest.raises(FetchError, match=r"^too_large$"):
        read(whole, most_bytes=999)


def test_what_was_not_found_says_so():
    with pytest.raises(FetchError, match=r"^archived_http_404$"):
        read(record("http://a.org/", answer(status="404 Not Found")))
    with pytest.raises(FetchError, match=r"^archived_http_0$"):
        read(record("http://a.org/", answer(status="OK")))


def test_type_and_fields_come_with_it():
    given = read(record("http://a.org/", answer(content_type="text/html; charset=utf-8", X_Powered_By="birds")))
    assert given.content_type == "text/html; charset=utf-8"
    assert ("X-Powered-By", "birds") in given.headers
    assert read(record("http://a.org/", answer(b"\xef\xbb\xbf <HTML>", content_type=""))).content_type == "text/html"
    assert read(record("http://a.org/", answer(b"<htmlx>", content_type=""))).content_type == ""
    resource = record("http://a.org/", b"\x89PNG", kind="resource", Content_Type="image/png")
    assert (read(resource).content_type, read(resource).data) == ("image/png", b"\x89PNG")


def test_mutated_payloads_never_raise_anything_else():
    choice = random.Random(20261121)
    failures = 0
    for _ in range(1500):
        name = choice.choice(list(ENCODINGS))
        packed = ENCODINGS[name](PAGE * 20)
        chunked = b"".join(b"%x\r\n%s\r\n" % (7, packed[start : start + 7]) for start in range(0, len(packed), 7))
        block = bytearray(answer(chunked, Content_Encoding=name, Transfer_Encoding="chunked"))
        for _ in range(choice.randrange(1, 10)):
            block[choice.randrange(len(block))] = choice.randrange(256)
        try:
            read(record("http://a.org/", bytes(block)))
        except FetchError:
            failures += 1
    assert 100 < failures < 1400
