"""A folder of HTML files as a door: a page is asked for by its path below a base, a picture by any address it may have.

A page that says where it was published (`<link rel=canonical>`, `og:url`) comes from there; so what it names is
looked for by path, with and without the host in front, as mirroring programs lay files down.
"""

import asyncio
import mimetypes
import posixpath
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit

import lxml.etree
from pyarrow import fs

from jobs.command import InputError
from pipeline.addresses import canonical
from pipeline.door import Fetched, FetchError
from shards.location import Location

HTML = (".html", ".htm", ".xhtml")
UNKNOWN = "http://folder.invalid/"
"""The base of pages of which nobody says where they come from (RFC 2606 keeps the name free)."""
HEAD_BYTES = 65536
"""Of a page, in which it says where it was published."""
PUBLISHED = (
    "//link[contains(concat(' ', normalize-space(@rel), ' '), ' canonical ')]/@href",
    "//meta[@property='og:url']/@content",
)


def list_folder(folder: Location) -> list[str]:
    """The paths of the HTML files below `folder`, relative to it, sorted. Raises InputError if there is none."""
    selector = fs.FileSelector(folder.path, recursive=True, allow_not_found=True)
    files = (info.path for info in folder.filesystem.get_file_info(selector) if info.type == fs.FileType.File)
    inside = (path.removeprefix(folder.path).lstrip("/") for path in files)
    pages = sorted(path for path in inside if path.lower().endswith(HTML))
    if not pages:
        raise InputError(f"html_dir {folder} holds no file whose name ends in {', '.join(HTML)}")
    return pages


class HtmlFolder:
    """The files of a folder by address."""

    def __init__(self, folder: Location, base: str) -> None:
        """Pages lie at `base` and their path; without a base at UNKNOWN, until they say where they were published."""
        self._folder = folder
        self._base = base or UNKNOWN

    def address(self, path: str) -> str:
        """Where the file at `path` in the folder is asked for."""
        return f"{self._base}{quote(path)}"

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The file at `url`, at most `most_bytes` long. Raises FetchError: `not_in_folder`, `too_large`."""
        return await asyncio.to_thread(self._read, url, most_bytes)

    def _read(self, url: str, most_bytes: int) -> Fetched:
        for path in self._paths(url):
            file = self._folder / path
            info = file.filesystem.get_file_info(file.path)
            if info.type != fs.FileType.File:
                continue
            if info.size > most_bytes:
                raise FetchError("too_large")
            data, is_page = file.read(), path.lower().endswith(HTML)
            kind = "text/html" if is_page else mimetypes.guess_type(path)[0] or ""
            if is_page and self._base == UNKNOWN:
                url = published_at(data) or url
            return Fetched(url=url, content_type=kind, data=data)
        raise FetchError("not_in_folder")

    def _paths(self, url: str) -> Iterator[str]:
        """Where in the folder what lies at `url` may be, none of them outside of it."""
        if url.startswith(self._base):
            candidates = [url.removeprefix(self._base).partition("?")[0]]
        else:
            parts = urlsplit(url)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            candidates = [f"{parts.netloc}{path}", path, f"{parts.netloc}{parts.path}", parts.path]
        for candidate in dict.fromkeys(candidates):
            inside = posixpath.normpath(unquote(candidate).lstrip("/"))
            if not inside.startswith("..") and "\0" not in inside:
                yield inside


def published_at(page: bytes) -> str | None:
    """The address at which `page` says that it was published, canonical."""
    root = lxml.etree.fromstring(page[:HEAD_BYTES], lxml.etree.HTMLParser(recover=True, no_network=True))
    if root is None:
        return None
    said = (str(address) for path in PUBLISHED for address in root.xpath(path))
    return next((address for text in said if (address := canonical(text))), None)
