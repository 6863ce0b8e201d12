"""One pass over an archive: which addresses it holds, which are pages, and what redirects and revisits stand for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import IO

from pipeline.addresses import canonical
from pipeline.archives.index import ArchiveIndex, Entry
from pipeline.archives.members import Compression, DamagedError, compression_of, lay_out_plain
from pipeline.archives.payloads import content_type, status_of
from pipeline.archives.records import Record, UnalignedError, scan

HTML = ("text/html", "application/xhtml+xml")
KINDS = ("response", "resource", "revisit")
REDIRECTS = (301, 302, 303, 307, 308)
PAGE_INFO = "urn:pageinfo:"
"""In front of the address of each page in the archives of Browsertrix, and in ours: other HTML there is no page."""
SNIFFED_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What a record says of an address, before it is known where the record ends."""

    url: str
    status: int = 0
    target: str = ""
    html: bool = False
    digest: str = ""
    original: str | None = None
    """Of a revisit, the address whose answer was the same; empty if it names none. None for all others."""
    page_info: bool = False
    """Whether it says that `url` is a page, and nothing else."""


def index_archive(file: IO[bytes], archive: str) -> ArchiveIndex:
    """The index of `file`, which lies at `archive`; damage is noted, and what is whole is in it all the same."""
    damages = list[str]()
    try:
        compression = compression_of(file)
        captures, one_piece = list(scan(file, compression, _describe, damages)), ""
    except DamagedError as error:
        captures, one_piece = [], ""
        damages.append(str(error))
    except UnalignedError:
        damages.clear()
        with TemporaryFile() as copy:
            lay_out_plain(file, compression_of(file), copy, damages)
            captures, one_piece = list(scan(copy, Compression(name="plain"), _describe, damages)), archive
    counts = Counter({"archives": 1, "archive_records": len(captures), "archives_cut": int(bool(damages))})
    known = [(capture, offset, length) for capture, offset, length in captures if capture]
    entries = _entries(known, archive, counts)
    notes = (_note(archive, damages),) if damages else ()
    return ArchiveIndex(entries=entries, counts=dict(+counts), notes=notes, one_piece=one_piece)


def _note(archive: str, damages: Sequence[str]) -> str:
    name, more = archive.rpartition("/")[2], f" (and at {len(damages) - 1} more)" if len(damages) > 1 else ""
    return f"{name} is cut or broken: {damages[0][:200]}{more}; the whole records were kept"


def _describe(record: Record) -> Capture | None:
    """What `record` says of an address; None if it is no answer and names no page."""
    if record.kind == "resource" and record.url.startswith(PAGE_INFO):
        url = canonical(record.url.removeprefix(PAGE_INFO))
        return Capture(url=url, page_info=True) if url else None
    url = canonical(record.url)
    if url is None or record.kind not in KINDS:
        return None
    http = record.read_http_head() if record.is_answer else None
    if http is None and record.kind == "response":
        return None
    headers = http or record.headers
    status = status_of(http) if http else 200
    location = headers.get_header("Location") if status in REDIRECTS else None
    kind = content_type(headers, record.block.read(SNIFFED_BYTES))
    return Capture(
        url=url,
        status=status,
        target=(canonical(location, url) or "") if location else "",
        html=kind.partition(";")[0].strip().lower() in HTML,
        digest=record.headers.get_header("WARC-Payload-Digest") or "",
        original=_original(record),
    )


def _original(record: Record) -> str | None:
    if record.kind != "revisit":
        return None
    return canonical(record.headers.get_header("WARC-Refers-To-Target-URI") or "") or ""


def _entries(captures: Iterable[tuple[Capture, int, int]], archive: str, counts: Counter[str]) -> list[Entry]:
    """The best capture of each address, those of pages first."""
    found, by_digest = dict[str, Entry](), dict[str, Entry]()
    revisits, named = list[tuple[Capture, Entry]](), dict[str, None]()
    for capture, offset, length in captures:
        entry = _entry(capture, archive, offset, length)
        if capture.page_info:
            named[capture.url] = None
        elif capture.original is not None and not capture.target:
            revisits.append((capture, entry))
        else:
            _keep_better(found, entry)
            if capture.digest and capture.original is None:
                by_digest.setdefault(capture.digest, entry)
    for revisit, entry in revisits:
        if same := by_digest.get(revisit.digest) or found.get(revisit.original or revisit.url):
            _keep_better(found, replace(same, url=revisit.url))
        elif revisit.original not in ("", revisit.url):
            # Another archive of the run may hold it.
            _keep_better(found, replace(entry, status=302, target=revisit.original or ""))
        counts["archive_revisits_without_original"] += not same
    return _pages_first(found, [url for url in named if url in found])


def _entry(capture: Capture, archive: str, offset: int, length: int) -> Entry:
    return Entry(
        url=capture.url,
        archive=archive,
        offset=offset,
        length=length,
        status=capture.status,
        target=capture.target,
        page=capture.html and not capture.target,
    )


def _keep_better(found: dict[str, Entry], entry: Entry) -> None:
    """Keeps the better capture of an address, the first of two that are as good."""
    found[entry.url] = min(found.get(entry.url, entry), entry, key=lambda entry: entry.rank)


def _pages_first(found: Mapping[str, Entry], named: Sequence[str]) -> list[Entry]:
    """The entries with the pages in front: those that the archive names as such, or all HTML if it names none."""
    if not named:
        return sorted(found.values(), key=lambda entry: not entry.page)
    pages = {url: replace(found[url], page=True) for url in named}
    others = [replace(entry, page=False) for url, entry in found.items() if url not in pages]
    return [*pages.values(), *others]
