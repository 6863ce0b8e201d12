"""Sets of pictures that came already: what img2dataset writes (webdataset, Parquet, files) and what OpenFlamingo reads.

A sample is what has one name: `000.jpg`, `000.txt`, `000.json`. Of its bytes only where they lie is noted; nothing is
unpickled, whatever a tar holds, and nothing is unpacked to disk.

    webdataset  tar files of such members (open_flamingo/train/data.py, get_laion_dataset: jpg, png or jpeg, and txt)
    parquet     a column of bytes called jpg, png or webp, beside url, caption, status, ...
    files       a folder for each shard
"""

import asyncio
import json
import posixpath
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from jobs.command import InputError
from pipeline.door import Fetched, FetchError
from pipeline.inputs.pair_lists import Columns, captions_in, facts_in
from pipeline.inputs.pair_table import Held, Pair, storable
from shards.location import Location, locate

PICTURES = ("jpg", "png", "jpeg", "webp")
"""Suffixes of pictures, in the order in which they are looked for."""
TEXTS = ("txt", "json")
MOST_TEXT_BYTES = 1_000_000
"""A longer text or JSON beside a picture is not read."""
OWN = ("key", "status", "error_message", "width", "height", "exif", "txt", *PICTURES)
"""Columns of img2dataset that say nothing of a picture, or what we measure; EXIF may say where somebody lives."""
ROW_GROUPS = 4
"""Row groups of pictures that a chunk's task holds."""
NO_JSON: Mapping[str, Any] = {}


def picture_column(schema: pa.Schema) -> str:
    """The column of `schema` that holds pictures; nothing if there is none."""
    binary = {field.name for field in schema if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)}
    return next((name for name in PICTURES if name in binary), "")


def read_tar(file: Location, columns: Columns) -> Iterator[Pair]:
    """The samples of a tar; after one that breaks off comes a pair that is `cut`. Raises InputError if it is no tar."""
    try:
        with file.filesystem.open_input_file(file.path) as source, _open_tar(source) as tar:
            for name, parts in _samples(tar):
                pictures = {suffix: _held(file, part) for suffix, part in parts.items() if suffix in PICTURES}
                texts = {suffix: _text(tar, part) for suffix, part in parts.items() if suffix in TEXTS}
                yield _sample(file, name, pictures, texts, columns)
            if _breaks_off(source, tar):
                yield Pair(address=str(file), failure="cut")
    except tarfile.ReadError as error:
        raise InputError(f"{file} cannot be read as a tar: {error}") from None


def read_folder(folder: Location, columns: Columns) -> Iterator[Pair]:
    """The samples of a folder of files."""
    names = folder.files()
    stems = {name: _parts(name) for name in names}
    for stem in sorted({stem for stem, suffix in stems.values() if suffix in PICTURES}):
        mine = {suffix: folder / name for name, (other, suffix) in stems.items() if other == stem}
        held = {suffix: Held(file=str(file)) for suffix, file in mine.items() if suffix in PICTURES}
        texts = {suffix: _beginning(mine[suffix]) for suffix in TEXTS if suffix in mine}
        yield _sample(folder, stem, held, texts, columns)


def read_pictures(file: Location, columns: Columns) -> Iterator[Pair]:
    """The rows of a Parquet file that holds its pictures. Raises InputError if it cannot be read."""
    try:
        with file.filesystem.open_input_file(file.path) as source:
            table = pq.ParquetFile(source)
            column = picture_column(table.schema_arrow)
            others = [name for name in table.schema_arrow.names if name not in PICTURES]
            rows = (row for batch in table.iter_batches(columns=others) for row in batch.to_pylist())
            for number, row in enumerate(rows):
                failed = row.get("status", "success") != "success"
                held = Held(file=str(file), row=number, column=column)
                yield _pair(f"{file}#{row.get('key', number)}", row, columns, None if failed else held)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file} cannot be read as parquet: {error}") from None


class HeldPictures:
    """Pictures that lie in files as a door, by the names that they are asked for."""

    def __init__(
        self, pictures: Iterable[tuple[str, Held | None]], reasons: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`reasons` say why some of the others are not there; without one they are `not_in_set`."""
        self._held = {name: held for name, held in pictures if held}
        self._reasons = reasons
        self._lock = threading.Lock()
        self._group = lru_cache(ROW_GROUPS)(_read_group)
        self._table = lru_cache(ROW_GROUPS)(_open_table)

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The picture at `url`. Raises FetchError: `not_in_set`, `too_large` (over `most_bytes`), `unreadable`."""
        held = self._held.get(url)
        if held is None:
            raise FetchError(self._reasons.get(url, "not_in_set"))
        if held.size > most_bytes:
            raise FetchError("too_large")
        try:
            data = await asyncio.to_thread(self._read, held, most_bytes)
        except (OSError, pa.ArrowException):
            raise FetchError("unreadable") from None
        if data is None:
            raise FetchError("not_in_set")
        if len(data) > most_bytes:
            raise FetchError("too_large")
        return Fetched(url=url, content_type="", data=data)

    def _read(self, held: Held, most_bytes: int) -> bytes | None:
        if held.row >= 0:
            with self._lock:  # one reads, so that what it read is there for the others
                table, starts = self._table(held.file)
                group = max(number for number, start in enumerate(starts) if start <= held.row)
                return self._group(table, group, held.column)[held.row - starts[group]].as_py()
        file = locate(held.file)
        with file.filesystem.open_input_file(file.path) as source:
            source.seek(held.offset)
            return source.read(held.size if held.size >= 0 else most_bytes + 1)


def _open_table(file: str) -> tuple[pq.ParquetFile, list[int]]:
    """The file, and the number of each row group's first row."""
    location, starts = locate(file), [0]
    table = pq.ParquetFile(location.path, filesystem=location.filesystem)
    for group in range(table.num_row_groups - 1):
        starts.append(starts[-1] + table.metadata.row_group(group).num_rows)
    return table, starts


def _read_group(table: pq.ParquetFile, group: int, column: str) -> pa.ChunkedArray:
    return table.read_row_group(group, columns=[column])[column]


def _open_tar(source: pa.NativeFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast(IO[bytes], source), mode="r:")


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """The members that follow each other with one name, by their suffixes; a suffix that comes again begins anew."""
    before, parts = "", dict[str, tarfile.TarInfo]()
    for member in _members(tar):
        name, suffix = _parts(member.name)
        if suffix not in PICTURES + TEXTS:
            continue
        if parts and (name != before or suffix in parts):
            yield before, parts
            parts = {}
        before, parts[suffix] = name, member
    if parts:
        yield before, parts


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The plain files of `tar` up to where it breaks off."""
    with suppress(tarfile.ReadError):
        while member := tar.next():
            if member.isreg():
                yield member


def _breaks_off(source: pa.NativeFile, tar: tarfile.TarFile) -> bool:
    """Whether `tar` ends with something else than the empty block that has to stand there."""
    source.seek(min(tar.offset, source.size()))
    return source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE)


def _held(file: Location, member: tarfile.TarInfo) -> Held:
    return Held(file=str(file), offset=member.offset_data, size=member.size)


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """What `member` says; nothing if it is too long or cut."""
    with suppress(tarfile.ReadError):
        if member.size <= MOST_TEXT_BYTES and (content := tar.extractfile(member)):
            return content.read()
    return b""


def _parts(name: str) -> tuple[str, str]:
    """The name that the parts of a sample share, and a part's suffix: what follows the first dot (webdataset)."""
    folder, base = posixpath.split(name)
    stem, _, suffix = base.partition(".")
    return posixpath.join(folder, stem), suffix.lower()


def _sample(
    file: Location, name: str, pictures: Mapping[str, Held], texts: Mapping[str, bytes], columns: Columns
) -> Pair:
    row: dict[str, Any] = dict(_json(texts.get("json", b"{}")))
    if "txt" in texts:
        row[columns.caption] = texts["txt"].decode("utf-8", "replace")
    picture = next((pictures[suffix] for suffix in PICTURES if suffix in pictures), None)
    return _pair(f"{file}#{name}", row, columns, picture)


def _pair(name: str, row: Mapping[str, Any], columns: Columns, held: Held | None) -> Pair:
    url = row.get(columns.url)
    return Pair(
        address=storable(url if isinstance(url, str) and url else name),
        captions=captions_in(row.get(columns.caption)),
        facts=facts_in(row, (columns.url, columns.caption, *OWN)),
        held=held,
    )


def _json(text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return NO_JSON
    return value if isinstance(value, dict) else NO_JSON


def _beginning(file: Location) -> bytes:
    if file.filesystem.get_file_info(file.path).size > MOST_TEXT_BYTES:
        return b""
    return file.read()


def folders_of_pictures(folder: Location) -> list[Location]:
    """`folder` and the folders in it that hold pictures, in order."""
    found = folder.filesystem.get_file_info(fs.FileSelector(folder.path))
    inside = sorted(info.base_name for info in found if info.type == fs.FileType.Directory)
    candidates = [folder, *(folder / name for name in inside)]
    return [candidate for candidate in candidates if any(_parts(name)[1] in PICTURES for name in candidate.files())]
