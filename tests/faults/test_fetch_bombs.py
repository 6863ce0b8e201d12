"""Safety: what a body unpacks to is bounded by size and by ratio, in every encoding, and so is the memory it takes."""

import gzip
import json
import subprocess
import sys
import zlib

import brotli
import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLANK = b"\0" * 1_000_000
CODINGS = ["gzip", "deflate", "br", "zstd"]
MOST_GROWTH = 50_000_000

FETCH = """
import asyncio, json, resource, sys
from pipeline.door import FetchError
from pipeline.fetch import FetchConfig, open_fetcher

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main(harmless, bomb, ratio):
    config = FetchConfig(delay_seconds=0, retries=0, compression_ratio=float(ratio))
    async with open_fetcher(config, "127.0.0.0/8") as fetcher:
        await fetcher.fetch(harmless, 10_000_000)
        before = peak()
        try:
            reason = len((await fetcher.fetch(bomb, 10_000_000)).data)
        except FetchError as error:
            reason = error.reason
        print(json.dumps([reason, peak() - before]))

asyncio.run(main(*sys.argv[1:]))
"""


def pack(coding: str, megabytes: int) -> bytes:
    """So many megabytes of nothing."""
    if coding == "br":
        packer = brotli.Compressor(quality=5)
        return b"".join([packer.process(BLANK) for _ in range(megabytes)]) + packer.finish()
    packer = zstd.ZstdCompressor() if coding == "zstd" else zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    return b"".join([packer.compress(BLANK) for _ in range(megabytes)]) + packer.flush()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("ratio", "reason"), [(50, "compression_bomb"), (1e9, "too_large")])
def test_a_bomb_is_stopped_at_the_bound_and_takes_no_memory(strange, coding, ratio, reason):
    strange.say("/harmless", body=pack(coding, 1), Content_Encoding=coding)
    strange.say("/bomb", body=pack(coding, 300), Content_Encoding=coding)
    command = [sys.executable, "-c", FETCH, strange.url("/harmless"), strange.url("/bomb"), str(ratio)]
    found, growth = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert found == reason
    assert growth < MOST_GROWTH


def test_a_bomb_in_a_bomb_is_stopped_too(strange, crawl):
    strange.say("/", body=gzip.compress(pack("br", 100)), Content_Encoding="br, gzip")
    assert crawl(strange.url()).found == ["compression_bomb"]


def test_a_frame_that_asks_for_a_large_window_is_refused(strange, crawl):
    parameters = zstd.CompressionParameter
    packer = zstd.ZstdCompressor(options={parameters.window_log: 27, parameters.content_size_flag: 0})
    strange.say("/", body=packer.compress(BLANK) + packer.flush(), Content_Encoding="zstd")
    assert crawl(strange.url()).found == ["broken_body"]


def test_members_without_end_are_refused(strange, crawl):
    strange.say("/few", body=gzip.compress(b"x") * 900, Content_Encoding="gzip")
    strange.say("/many", body=gzip.compress(b"") * 100_000, Content_Encoding="gzip")
    outcome = crawl(strange.url("/few"), strange.url("/many"))
    assert outcome.found == [b"x" * 900, "broken_body"]
    assert outcome.seconds < 2.5


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", b"no gzip at all", "broken_body"),
        ("gzip", gzip.compress(b"x" * 1000)[:-9], "broken_body"),
        ("deflate", b"\xff\xff\xff\xff", "broken_body"),
        ("br", b"\xff\xff\xff\xff", "broken_body"),
        ("br", brotli.compress(b"hello " * 1000)[:-3], "broken_body"),
        ("zstd", zstd.compress(b"hello " * 1000)[:-3], "broken_body"),
        ("compress", b"x", "unknown_encoding"),
        ("gzip, gzip, gzip, gzip", b"x", "unknown_encoding"),
    ],
)
def test_what_cannot_be_unpacked_has_a_reason(strange, crawl, encoding, body, reason):
    strange.say("/", body=body, Content_Encoding=encoding)
    assert crawl(strange.url()).found == [reason]
