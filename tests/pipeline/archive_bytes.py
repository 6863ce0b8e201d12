"""Archives written by hand, byte by byte, so that nothing that reads them has had a hand in them."""

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

from backports import zstd

from pipeline.archive_index import read_index, write_index
from pipeline.captures import index_archive
from pipeline.door import Fetched
from pipeline.fetch import FetchConfig
from pipeline.ranges import open_ranges
from pipeline.warc import Archive
from shards.location import locate

Pack = Callable[[bytes], bytes]
PAGE = b"<!doctype html><html><body><p>Flamingos filter the shallow water for brine shrimp.</p></body></html>"


def as_is(record: bytes) -> bytes:
    return record


def gzipped(record: bytes) -> bytes:
    return gzip.compress(record, mtime=0)


PACKS: dict[str, Pack] = {"plain": as_is, "gzip": gzipped, "zstd": zstd.compress}


def answer(body: bytes = PAGE, status: str = "200 OK", content_type: str = "text/html", **fields: str) -> bytes:
    """An HTTP answer; underscores in the names of fields stand for hyphens."""
    named = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in fields.items()}}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def record(url: str, block: bytes, kind: str = "response", **fields: str) -> bytes:
    """A WARC record."""
    named = {"WARC-Type": kind, "WARC-Target-URI": url, "WARC-Date": "2026-11-21T20:00:00Z"}
    named |= {name.replace("_", "-"): value for name, value in fields.items()} | {"Content-Length": str(len(block))}
    lines = ["WARC/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def write(path: Path, records: list[bytes], pack: Pack = as_is) -> Path:
    path.write_bytes(b"".join(map(pack, records)))
    return path


def fetch(path: Path, url: str, most_bytes: int = 1_000_000) -> Fetched:
    """What the door to the archive at `path` gives."""
    with path.open("rb") as file:
        index = index_archive(file, str(path))
    location = locate(f"{path}.index")
    write_index(location, index)

    async def ask() -> Fetched:
        async with open_ranges(FetchConfig(), "") as ranges:
            return await Archive([read_index(location)], ranges).fetch(url, most_bytes)

    return asyncio.run(ask())
