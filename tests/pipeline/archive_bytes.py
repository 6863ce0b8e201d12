"""Archives written by hand, byte by byte, so that nothing that reads them has had a hand in them."""

import asyncio
import gzip
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from backports import zstd

from pipeline.archives.archive import Archive
from pipeline.archives.captures import index_archive
from pipeline.archives.index import read_index, write_index
from pipeline.archives.members import compression_of, lay_out_plain
from pipeline.archives.ranges import Access, open_ranges
from pipeline.door import Fetched, FetchError
from pipeline.fetch import FetchConfig
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
    (given,) = fetch_all(path, [url], most_bytes)
    if isinstance(given, FetchError):
        raise given
    return given


def fetch_all(path: Path, urls: Iterable[str], most_bytes: int = 1_000_000) -> list[Fetched | FetchError]:
    """What the door to the archive at `path` gives for each of `urls`."""

    async def ask(folder: Path) -> list[Fetched | FetchError]:
        with path.open("rb") as file, (folder / "plain").open("w+b") as plain:
            index = index_archive(file, str(path))
            write_index(locate(str(folder / "index")), index)
            async with open_ranges(Access(fetch=FetchConfig(), allow_network="")) as ranges:
                if index.one_piece:
                    lay_out_plain(file, compression_of(file), plain, [])
                    plain.flush()
                    ranges.replace(str(path), plain.name)
                door = Archive([read_index(locate(str(folder / "index")))], ranges)
                given = await asyncio.gather(*(door.fetch(url, most_bytes) for url in urls), return_exceptions=True)
        return [one if isinstance(one, Fetched) else _reason(one) for one in given]

    with TemporaryDirectory() as folder:
        return asyncio.run(ask(Path(folder)))


def _reason(error: BaseException) -> FetchError:
    if not isinstance(error, FetchError):
        raise error
    return error
