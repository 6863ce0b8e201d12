"""From the bytes of an archive's record to what a server's answer held: chunks joined, decompressed, bounded.

Crawlers differ in what they store: some keep the header fields of an encoding that they have undone. So a payload
that is not encoded as its fields say is taken as it is.
"""

import re

from warcio.statusandheaders import StatusAndHeaders

from pipeline.archives.members import GZIP, ZSTD
from pipeline.archives.records import MOST_HEAD_BYTES, Record
from pipeline.door import Fetched, FetchError
from pipeline.fetching.bodies import BodyError, unpack

CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[^\r\n]{0,200}\r?\n")
"""The line before a chunk (RFC 9112, section 7.1): its size, and extensions."""


def read_payload(record: Record, url: str, most_bytes: int) -> Fetched:
    """What `record` holds, by the address `url`.

    Raises FetchError: `archived_http_404` and the like where the answer was not 200, `too_large`, `broken_body`.
    """
    http = record.read_http_head() if record.is_answer else None
    if http and status_of(http) != 200:
        raise FetchError(f"archived_http_{status_of(http)}")
    data = record.block.read(most_bytes + MOST_HEAD_BYTES)
    if record.block.limit:
        raise FetchError("too_large")
    if http:
        data = decode_body(data, http, most_bytes)
    if len(data) > most_bytes:
        raise FetchError("too_large")
    headers = http or record.headers
    return Fetched(url=url, content_type=content_type(headers, data), data=data, headers=tuple(headers.headers))


def status_of(http: StatusAndHeaders) -> int:
    """The status of an answer, 0 if it has none."""
    code = http.get_statuscode()
    return int(code) if re.fullmatch(r"[0-9]{3}", code) else 0


def content_type(headers: StatusAndHeaders, beginning: bytes) -> str:
    """The declared type; where none is, `text/html` if it begins as a page does (WHATWG, MIME Sniffing, 7.1)."""
    declared = headers.get_header("Content-Type")
    looks_like_a_page = re.match(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|title)\b", beginning, re.I)
    return declared or ("text/html" if looks_like_a_page else "")


def decode_body(body: bytes, http: StatusAndHeaders, most_bytes: int) -> bytes:
    """The payload in the `body` of an answer. Raises FetchError: `too_large`, `compression_bomb`, `broken_body`."""
    if "chunked" in (http.get_header("Transfer-Encoding") or "").lower():
        body = join_chunks(body)
    encoding = (http.get_header("Content-Encoding") or "").strip().lower()
    if not encoding:
        return body
    try:
        return unpack([body], encoding, most_bytes)
    except BodyError as error:
        if error.reason == "unknown_encoding" or (error.reason == "broken_body" and not _is_packed(body, encoding)):
            return body
        raise FetchError(error.reason) from None


def _is_packed(body: bytes, encoding: str) -> bool:
    """Whether `body` begins as its outermost encoding does; of `br` and `deflate` that cannot be told."""
    magic = {"gzip": GZIP, "x-gzip": GZIP, "zstd": ZSTD}.get(encoding.rpartition(",")[2].strip())
    return magic is not None and body.startswith(magic)


def join_chunks(body: bytes) -> bytes:
    """The chunks of `body` joined (RFC 9112, section 7.1); of a broken one what came; `body` itself if it has none."""
    pieces, place = list[bytes](), 0
    while line := CHUNK.match(body, place):
        size = int(line[1], 16)
        if not size:
            break
        pieces.append(body[line.end() : line.end() + size])
        place = line.end() + size
        place += 2 if body[place : place + 2] == b"\r\n" else 1 if body[place : place + 1] == b"\n" else 0
    return b"".join(pieces) if pieces or CHUNK.match(body) else body
