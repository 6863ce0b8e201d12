"""Keeping what a chunk's doors gave as a WARC of its own, which a later `--warc` run reads to the same documents.

    addresses, doors ─► recording ─► doors that write down what they give ─► OUTPUT/warc/CHUNK.warc.gz

Bodies are kept as they were given, whole and decompressed. An address that led elsewhere is kept as a redirect, and
each page that came is named in a record of its own (`urn:pageinfo:`, as Browsertrix does it): what is HTML and was
no page, such as an error in place of a picture, is none in the archive either.
"""

import gzip
import io
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.archives.captures import PAGE_INFO
from pipeline.door import Door, Fetched
from shards.location import Location

KEPT = "warc"
"""The folder of the archives, in that of the output."""
TRAVELLING = ("content-length", "content-encoding", "transfer-encoding")
"""Fields that say how a body came, and not what it is."""


@dataclass(slots=True)
class Recorder:
    """The archive of one chunk in the making."""

    file: IO[bytes]
    written: set[str] = field(default_factory=set[str])
    """Addresses that are in it."""

    def write(self, asked: str, answer: Fetched) -> None:
        """Keeps `answer`, which came for the address `asked`, unless it is in the archive already."""
        if answer.url not in self.written:
            fields = [(name, value) for name, value in answer.headers if name.lower() not in TRAVELLING]
            if not any(name.lower() == "content-type" for name, _ in fields):
                fields.append(("Content-Type", answer.content_type))
            self._write_answer(answer.url, "200 OK", fields, answer.data)
        if asked not in self.written:
            self._write_answer(asked, "302 Found", [("Location", answer.url)], b"")

    def name_page(self, url: str) -> None:
        """Says that what lies at `url` is a page."""
        self._write(f"{PAGE_INFO}{url}", "resource", None, b"{}", {"Content-Type": "application/json"})

    def _write_answer(self, url: str, status: str, fields: Sequence[tuple[str, str]], body: bytes) -> None:
        self.written.add(url)
        length = ("Content-Length", str(len(body)))
        self._write(url, "response", StatusAndHeaders(status, [*fields, length], protocol="HTTP/1.1"), body, {})

    def _write(self, url: str, kind: str, head: StatusAndHeaders | None, body: bytes, said: dict[str, str]) -> None:
        buffer = io.BytesIO()
        writer = WARCWriter(buffer, gzip=False, warc_version="1.1")
        writer.write_record(
            writer.create_warc_record(
                url, kind, payload=io.BytesIO(body), length=len(body), http_headers=head, warc_headers_dict=said
            )
        )
        # Pictures are packed already: they only get the frame of a gzip member around them.
        packed = gzip.compress(buffer.getvalue(), 0 if _is_packed(head) else 1, mtime=0)
        self.file.write(packed)


def _is_packed(head: StatusAndHeaders | None) -> bool:
    kind = (head.get_header("Content-Type") or "" if head else "").lower()
    return kind.startswith(("image/", "video/", "audio/")) and "svg" not in kind


@dataclass(frozen=True, slots=True)
class Recorded:
    """A door that writes down what it gives."""

    door: Door
    recorder: Recorder

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The body at `url`. Raises FetchError."""
        answer = await self.door.fetch(url, most_bytes)
        self.recorder.write(url, answer)
        return answer


@contextmanager
def recording(archive: Location, addresses: Sequence[str], again: bool) -> Generator[Recorder]:
    """A recorder for pages at `addresses`; when the block ends, its archive lies at `archive`, whole.

    With `again`, what was fetched this time is added to what an earlier generation of the chunk had fetched.
    """
    with archive.written_whole() as temporary, Path(temporary).open("wb") as file:
        if again and archive.exists():
            with archive.filesystem.open_input_stream(archive.path, compression=None) as before:
                shutil.copyfileobj(before, file)
        recorder = Recorder(file)
        yield recorder
        for address in addresses:
            if address in recorder.written:
                recorder.name_page(address)
