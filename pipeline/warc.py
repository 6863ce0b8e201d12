"""Pages of a WARC or ARC archive, with the images that the archive itself holds; no network."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from jobs.command import InputError
from pipeline.addresses import canonical
from pipeline.assemble import assemble, refusal, wanted_images
from pipeline.extract import extract
from pipeline.images import ImageConfig, ImageError, Picture, make_frame, picture_in_page
from pipeline.ledger import Record, count
from pipeline.page import ImageReference
from shards.chunk import Tally
from shards.document import Document
from shards.location import Location, locate

MOST_BYTES = 20_000_000
"""A longer payload is not read to its end, and dropped."""
MOST_REDIRECTS = 5


@dataclass(slots=True)
class Contents:
    """Where in an archive the things are that documents are made from."""

    pages: dict[str, int] = field(default_factory=dict[str, int])
    """Byte offset of the record of each page, by address."""
    others: dict[str, int] = field(default_factory=dict[str, int])
    """Byte offset of every other response that may be an image."""
    redirects: dict[str, str] = field(default_factory=dict[str, str])


def find_archives(pattern: Location) -> list[str]:
    """The archives that `pattern` names, sorted; `*` stands for any part of a file's name.

    Raises InputError if there is none.
    """
    folder, _, name = pattern.path.rpartition("/")
    before, star, after = name.partition("*")
    if star:
        files = Location(filesystem=pattern.filesystem, path=folder).files()
        names = [file for file in files if file.startswith(before) and file.endswith(after)]
    else:
        names = [name] if pattern.exists() else []
    if not names:
        raise InputError(f"warc {pattern} names no file")
    return [str(Location(filesystem=pattern.filesystem, path=f"{folder}/{name}")) for name in names]


def documents_of_archive(
    path: str, limit: int | None, *, image: ImageConfig, min_words: int, tally: Tally
) -> Iterator[Document]:
    """The documents of the pages in the archive at `path`, in the archive's order, the first `limit` pages."""
    location = locate(path)
    with location.filesystem.open_input_file(location.path) as file:
        contents = _read_contents(file, location.name, tally)
        tally.count("pages_in_archives", len(contents.pages))
        for url, offset in list(contents.pages.items())[:limit]:
            record, document = Record(url), None
            payload, content_type = _read_payload(file, offset)
            page = extract(payload or b"", url, content_type)
            if reason := refusal(page, min_words) if payload is not None else "too_large":
                record.drop("page", reason)
            else:
                wanted = wanted_images(page, 1000)
                images = {reference.url: _read_image(file, contents, reference, image) for reference in wanted}
                document = assemble(page, images, record)
            count(record.entries, tally)
            if document:
                yield document


def _read_contents(file: Any, name: str, tally: Tally) -> Contents:
    """One pass over the archive; what stands before a cut or broken record is kept, and noted."""
    contents = Contents()
    records = ArchiveIterator(file, arc2warc=True)
    try:
        for record in records:
            offset, kind = records.get_record_offset(), record.rec_type
            if offset < 0 or not _is_whole(record):
                raise EOFError(f"the {kind} at byte {offset} has no end")
            if kind in ("response", "resource"):
                _place(contents, record, offset)
    except (ArchiveLoadFailed, ValueError, OSError, EOFError) as error:
        tally.count("archives_cut")
        tally.notes.append(f"{name} is cut or broken: {str(error)[:200]}; the records before that were kept")
    tally.count("archives")
    return contents


def _is_whole(record: Any) -> bool:
    """Whether the archive holds as many bytes of `record` as its header says; warcio takes a cut for an end."""
    while record.raw_stream.read(65536):
        pass
    return getattr(record.raw_stream, "limit", 0) == 0


def _place(contents: Contents, record: Any, offset: int) -> None:
    url = canonical(record.rec_headers.get_header("WARC-Target-URI") or "")
    if url is None:
        return
    headers = record.http_headers or record.rec_headers
    status = record.http_headers.get_statuscode() if record.http_headers else "200"
    target = canonical(headers.get_header("Location") or "", url)
    if status.startswith("3") and target:
        contents.redirects.setdefault(url, target)
    elif status == "200":
        kind = (headers.get_header("Content-Type") or "").partition(";")[0].strip().lower()
        places = contents.pages if kind in ("text/html", "application/xhtml+xml") else contents.others
        places.setdefault(url, offset)


def _read_payload(file: Any, offset: int) -> tuple[bytes | None, str]:
    """The payload of the record at `offset`, None if it is too long, and its content type."""
    file.seek(offset)
    record = next(iter(ArchiveIterator(file, arc2warc=True)))
    headers = record.http_headers or record.rec_headers
    payload = record.content_stream().read(MOST_BYTES + 1)
    return (payload if len(payload) <= MOST_BYTES else None), headers.get_header("Content-Type") or ""


def _read_image(file: Any, contents: Contents, reference: ImageReference, image: ImageConfig) -> Picture | str:
    """The picture that `reference` names, if the archive holds it at any of its addresses, or why there is none."""
    for address in (reference.url, *reference.alternatives):
        offset = _find(contents, address)
        try:
            if address.startswith("data:"):
                return picture_in_page(address, MOST_BYTES, image)
            if offset is not None:
                payload, _ = _read_payload(file, offset)
                return Picture(url=address, frame=make_frame(payload, image)) if payload is not None else "too_large"
        except ImageError as error:
            return error.reason
    return "not_in_archive"


def _find(contents: Contents, address: str) -> int | None:
    for _ in range(MOST_REDIRECTS):
        address = contents.redirects.get(address, address)
    return contents.others.get(address)
