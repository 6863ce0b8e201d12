"""Pages of Common Crawl by its columnar index: the rows that pass a filter say where in which archive each page lies.

    cc-index-table.paths.gz ─► one Ray task for each Parquet file: rows that pass ─► index/*.parquet ─► chunks

What comes out are indexes as of chunking.py: from there on a page of Common Crawl is one of an archive.
"""

import hashlib
import zlib
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.command import InputError
from pipeline.addresses import canonical
from pipeline.archives.chunking import make_indexes
from pipeline.archives.index import INDEX, ArchiveIndex, Entry, count_rows, write_index
from pipeline.archives.index_filter import parse_filter
from pipeline.archives.ranges import Access, open_file
from shards.errors import DatasetError
from shards.location import Location

BASE = "https://data.commoncrawl.org/"
PLACE = ("url", "warc_filename", "warc_record_offset", "warc_record_length")
"""Columns that say where a page lies (https://commoncrawl.org/columnar-index)."""
COLUMNS = (
    *PLACE,
    "url_surtkey", "url_host_name", "url_host_name_reversed", "url_host_tld", "url_host_2nd_last_part",
    "url_host_3rd_last_part", "url_host_4th_last_part", "url_host_5th_last_part", "url_host_registry_suffix",
    "url_host_registered_domain", "url_host_private_suffix", "url_host_private_domain", "url_protocol", "url_port",
    "url_path", "url_query", "fetch_status", "content_digest", "content_mime_type", "content_mime_detected",
    "content_charset", "content_languages", "content_truncated", "warc_segment",
)  # fmt: skip
"""Columns that a filter may name: texts and whole numbers (commoncrawl/cc-index-table, cc-index-schema-flat.json)."""
PAGES = "fetch_status = 200 and content_mime_detected in ('text/html', 'application/xhtml+xml')"
"""Passes what can be a page at all."""
MOST_PATHS = 10_000_000
"""Bytes of the list of an index's files, decompressed."""


def index_common_crawl(
    crawl: str, condition: str, base: str, output: Location, access: Access, limit: int | None
) -> list[str]:
    """The names of the indexes, in the folder of `output`, of the pages of `crawl` that pass `condition`.

    With a limit, no more of the crawl's index is read than is needed for so many pages. Raises InputError if the
    crawl's index cannot be read.
    """
    parts = [f"{base}{path}" for path in _read_paths(f"{base}crawl-data/{crawl}/cc-index-table.paths.gz", access)]
    names = [f"{hashlib.sha256(f'{part} {condition}'.encode()).hexdigest()[:16]}.parquet" for part in parts]
    makers = {name: partial(_read_part, part, condition, base, access) for name, part in zip(names, parts, strict=True)}
    if limit is None:
        make_indexes(makers, output)
        return names
    used, pages = list[str](), 0
    for name in names:
        if pages >= limit:
            break
        make_indexes({name: makers[name]}, output)
        used.append(name)
        pages += count_rows(output / INDEX / name)[0]
    return used


def _read_paths(uri: str, access: Access) -> list[str]:
    """The Parquet files of the part of a crawl's index that lists pages. Raises InputError."""
    try:
        with open_file(uri, access) as file:
            text = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(file.read(MOST_PATHS), MOST_PATHS).decode()
    except (DatasetError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{uri}, the list of the crawl's index, cannot be read: {error}") from None
    paths = [line.strip() for line in text.splitlines() if "/subset=warc/" in line]
    if not paths:
        raise InputError(f"{uri} names no file of an index")
    return paths


def _read_part(part: str, condition: str, base: str, access: Access, location: Location) -> None:
    """Writes to `location` the index of the pages that the Parquet file `part` lists and that pass `condition`."""
    passing = parse_filter(PAGES, COLUMNS)
    if condition:
        passing = passing & parse_filter(condition, COLUMNS)
    try:
        with open_file(part, access, read_ahead=0) as file:
            table = pq.read_table(file, columns=list(PLACE), filters=passing)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{part} cannot be read as an index of Common Crawl: {error}") from None
    entries = dict[str, Entry]()
    for url, archive, offset, length in zip(*(table[name].to_pylist() for name in PLACE), strict=True):
        address = canonical(url)
        if address:
            place = {"archive": f"{base}{archive}", "offset": offset, "length": length}
            entries.setdefault(address, Entry(url=address, status=200, page=True, **place))
    write_index(location, ArchiveIndex(entries=list(entries.values()), counts={"index_rows": table.num_rows}))
