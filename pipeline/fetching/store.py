"""What a run fetched, kept as WARC files, so that no address is fetched twice, not even after a crash.

A store is a folder of segments. Each process that fetches writes segments of its own and reads all of them when it
starts. A record is written whole before its answer is given, so a killed process leaves at most one cut record, at
the end of a segment, which is passed over. Equal bodies of a segment are written once (WARC 1.1, section 6.7).
"""

import hashlib
import io
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from pyarrow import fs
from warcio.archiveiterator import ArchiveIterator
from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders, StatusAndHeadersParser, StatusAndHeadersParserException
from warcio.warcwriter import WARCWriter

from pipeline.door import Fetched
from shards.location import Location

SEGMENT_BYTES = 1_000_000_000
"""A segment is closed when it reaches this size; on an object store that is when it is put there."""
CHANGED = ("content-length", "content-encoding", "transfer-encoding")
"""Header fields that say how a body travelled; it is kept decompressed and whole."""

Place = tuple[int, int]
"""A record: the number of its segment, and its first byte there."""


class Store:
    """Bodies by address; used by one process, on any thread at a time."""

    def __init__(self, folder: Location, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._scratch = tempfile.TemporaryDirectory(prefix="store-")
        self._segments = [folder / name for name in folder.files() if name.endswith(".warc")]
        self._readers = [_open(segment) for segment in self._segments]
        self._places = dict[bytes, Place]()
        self._bodies = dict[str, tuple[Place, str, str]]()
        self._file: io.FileIO | None = None
        for number, reader in enumerate(self._readers):
            self._places |= {_hash(url): (number, offset) for url, offset in _records(reader)}

    def get(self, url: str) -> Fetched | None:
        """What lies at `url`, if it was put here, by this process or an earlier one."""
        place = self._places.get(_hash(url))
        record = self._read(place) if place else None
        if record is None or record.rec_headers.get_header("WARC-Target-URI") != url:
            return None
        headers = record.http_headers
        if headers.get_statuscode() != "200":
            return self.get(headers.get_header("Location"))
        data = record.content_stream().read()
        if record.rec_type == "revisit":
            original = self.get(record.rec_headers.get_header("WARC-Refers-To-Target-URI"))
            if original is None:
                return None
            data = original.data
        fields = tuple(headers.headers)
        return Fetched(url=url, content_type=headers.get_header("Content-Type") or "", data=data, headers=fields)

    def put(self, url: str, answer: Fetched) -> None:
        """Keeps `answer` as what lies at `url`, and at the address that it came from, if `url` leads there."""
        if _hash(answer.url) not in self._places:
            self._write_answer(answer)
        if url != answer.url:
            found = StatusAndHeaders("302 Found", [("Location", answer.url)], protocol="HTTP/1.1")
            self._write("response", url, found, b"", {})

    def close(self) -> None:
        """Closes the segment that is being written, and puts it where it belongs."""
        for reader in self._readers:
            reader.close()
        self._close_segment()
        self._scratch.cleanup()

    def _write_answer(self, answer: Fetched) -> None:
        kept = [(name, value) for name, value in answer.headers if name.lower() not in CHANGED]
        if not any(name.lower() == "content-type" for name, _ in kept):
            kept.append(("Content-Type", answer.content_type))
        fields = StatusAndHeaders("200 OK", [*kept, ("Content-Length", str(len(answer.data)))], protocol="HTTP/1.1")
        digest = f"sha256:{hashlib.sha256(answer.data).hexdigest()}"
        known = self._bodies.get(digest)
        if known and known[0][0] == len(self._segments) - 1:
            _, first, date = known
            refers = {"WARC-Refers-To-Target-URI": first, "WARC-Refers-To-Date": date}
            profile = {"WARC-Profile": WARCWriter.REVISIT_PROFILE_1_1}
            self._write("revisit", answer.url, fields, b"", {"WARC-Payload-Digest": digest, **refers, **profile})
        else:
            date = self._write("response", answer.url, fields, answer.data, {"WARC-Payload-Digest": digest})
            self._bodies[digest] = self._places[_hash(answer.url)], answer.url, date

    def _write(self, kind: str, url: str, fields: StatusAndHeaders, body: bytes, said: Mapping[str, str]) -> str:
        """Appends a record; returns its date."""
        buffer = io.BytesIO()
        writer = WARCWriter(buffer, gzip=False, warc_version="1.1")
        record = writer.create_warc_record(
            url, kind, payload=io.BytesIO(body), length=len(body), http_headers=fields, warc_headers_dict=dict(said)
        )
        writer.write_record(record)
        offset = _append(self._open_segment(), buffer.getbuffer())
        self._places[_hash(url)] = len(self._segments) - 1, offset
        return record.rec_headers.get_header("WARC-Date")

    def _open_segment(self) -> io.FileIO:
        if self._file and self._file.tell() >= self._segment_bytes:
            self._close_segment()
        if self._file is None:
            segment = self._folder / f"{secrets.token_hex(8)}.warc"
            path = Path(segment.path if segment.is_local else f"{self._scratch.name}/{segment.name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
            self._segments.append(segment)
            self._readers.append(path.open("rb"))
        return self._file

    def _close_segment(self) -> None:
        if self._file is None:
            return
        os.fsync(self._file.fileno())
        self._file.close()
        if not (segment := self._segments[-1]).is_local:
            fs.copy_files(str(self._file.name), segment.path, destination_filesystem=segment.filesystem)
        self._file = None

    def _read(self, place: Place) -> ArcWarcRecord:
        number, offset = place
        self._readers[number].seek(offset)
        return next(iter(ArchiveIterator(self._readers[number])))


def _append(file: io.FileIO, data: memoryview) -> int:
    """Writes all of `data` at the end of `file`, or, if the disk is full, nothing; returns where it begins."""
    start = file.tell()
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        file.truncate(start)
        file.seek(start)
        raise
    return start


def _open(segment: Location) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, segment.filesystem.open_input_file(segment.path)))


def _records(file: io.BufferedReader) -> Iterator[tuple[str, int]]:
    """Address and first byte of each whole record of a segment."""
    size = file.seek(0, io.SEEK_END)
    parser, offset = StatusAndHeadersParser(["WARC/1.1"]), 0
    while offset < size:
        file.seek(offset)
        try:
            headers = parser.parse(file)
        except (EOFError, StatusAndHeadersParserException):
            return
        end = file.tell() + int(headers.get_header("Content-Length", "0")) + 4
        if end > size:
            return
        yield headers.get_header("WARC-Target-URI", ""), offset
        offset = end


def _hash(url: str) -> bytes:
    """Eight bytes for an address, as millions are held; the record itself says whether it is the one asked for."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()[:8]
