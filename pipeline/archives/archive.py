"""The door to what archives hold: an address goes in, what its server answered when the archive was made comes out.

Redirects are followed within the archives, and so are records that say that an answer had been the same before.
"""

import asyncio
import io
import struct
from collections.abc import Sequence

from pipeline.archives.index import Entry, IndexTable
from pipeline.archives.members import (
    DICTIONARY,
    GZIP,
    MOST_DICTIONARY,
    ZSTD,
    Compression,
    DamagedError,
    compression_of,
    decompressed,
)
from pipeline.archives.payloads import read_payload
from pipeline.archives.ranges import Ranges
from pipeline.archives.records import MOST_HEAD_BYTES, read_record
from pipeline.door import Fetched, FetchError
from pipeline.fetching import robots

MOST_REDIRECTS = 5


class Archive:
    """The answers that archives hold; used on one event loop."""

    def __init__(self, indexes: Sequence[IndexTable], ranges: Ranges) -> None:
        """The first of `indexes` that has the best that is to be had of an address says where it lies."""
        self._indexes = indexes
        self._ranges = ranges
        self._zstd = dict[str, asyncio.Task[Compression]]()

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The body at `url`, at most `most_bytes` long.

        Raises FetchError: `not_in_archive`, `too_many_redirects`, `archived_http_404` and the like, `header_noai` and
        the like, `too_large`, `compression_bomb`, `broken_body`, `broken_record`, and the reasons of Ranges.
        """
        for _ in range(MOST_REDIRECTS + 1):
            entry = self._find(url)
            if entry is None:
                raise FetchError("not_in_archive")
            if not entry.target:
                return await self._read(entry, most_bytes)
            url = entry.target
        raise FetchError("too_many_redirects")

    def _find(self, url: str) -> Entry | None:
        found = (index.find(url) for index in self._indexes)
        return min((entry for entry in found if entry), key=lambda entry: entry.rank, default=None)

    async def _read(self, entry: Entry, most_bytes: int) -> Fetched:
        if entry.status != 200:
            raise FetchError(f"archived_http_{entry.status}")
        if entry.length > most_bytes + MOST_HEAD_BYTES:
            raise FetchError("too_large")
        data = await self._ranges.read(entry.archive, entry.offset, entry.length)
        try:
            stream = decompressed(data, await self._compression(entry.archive, data))
            answer = read_payload(read_record(stream), entry.url, most_bytes)
        except (DamagedError, EOFError):
            raise FetchError("broken_record") from None
        if directive := robots.refusal([value for name, value in answer.headers if name.lower() == "x-robots-tag"]):
            raise FetchError(f"header_{directive}")
        return answer

    async def _compression(self, archive: str, data: bytes) -> Compression:
        """How `data`, a record of `archive`, is compressed; zstd may need the dictionary at the archive's beginning."""
        if not data.startswith(ZSTD):
            return Compression(name="gzip" if data.startswith(GZIP) else "plain")
        if archive not in self._zstd:
            self._zstd[archive] = asyncio.create_task(self._read_dictionary(archive))
        return await self._zstd[archive]

    async def _read_dictionary(self, archive: str) -> Compression:
        head = await self._ranges.read(archive, 0, 8)
        size = 8 + struct.unpack("<I", head[4:])[0] if head.startswith(DICTIONARY) and len(head) == 8 else 8
        size = min(size, MOST_DICTIONARY)
        return compression_of(io.BytesIO(await self._ranges.read(archive, 0, size)))
