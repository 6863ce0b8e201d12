"""Lists of image addresses and captions, in the formats that img2dataset reads: row by row, but for .json as a whole.

txt (an address a line, and after white space its caption), csv, tsv, json, jsonl, parquet; all but the last also .gz.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from jobs.command import InputError
from pipeline.inputs.pair_table import Pair, storable
from shards.errors import DatasetError
from shards.location import Location

FORMATS = ("txt", "csv", "tsv", "json", "jsonl", "parquet")
SUFFIXES = tuple(f".{name}" for name in FORMATS) + tuple(f".{name}.gz" for name in FORMATS[:-1])
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError, EOFError, DatasetError)
"""What reading a list raises that is not what its name says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a list hold what; all others are facts."""

    url: str
    caption: str


@dataclass(frozen=True, slots=True)
class _BadRow:
    """A row that could not be read, by its number."""

    number: int


Rows = Iterator[Mapping[str, Any] | _BadRow]


def read_list(file: Location, columns: Columns) -> Iterator[Pair]:
    """The pairs of the list in `file`; a row that cannot be read is one that is `malformed`.

    Raises InputError if the file cannot be read as what its name says, or has no such column.
    """
    kind = _format_of(file)
    try:
        for row in READERS[kind](file, columns):
            yield _pair(file, row, columns)
    except UNREADABLE as error:
        raise InputError(f"{file} cannot be read as {kind}: {error}") from None


def _format_of(file: Location) -> str:
    if not file.name.lower().endswith(SUFFIXES):
        raise InputError(f"{file} is no list of pairs: lists end in {', '.join(SUFFIXES)}")
    return file.name.lower().removesuffix(".gz").rpartition(".")[2]


def _pair(file: Location, row: Mapping[str, Any] | _BadRow, columns: Columns) -> Pair:
    if isinstance(row, _BadRow):
        return Pair(address=f"{file}#{row.number}", failure="malformed")
    url = row.get(columns.url)
    return Pair(
        address=storable(str(url)) if url is not None else "",
        captions=captions_in(row.get(columns.caption)),
        facts=facts_in(row, (columns.url, columns.caption)),
    )


def captions_in(value: object) -> tuple[str, ...]:
    """The captions in a cell: a text, or a list of them; white space at their ends does not count."""
    values = value if isinstance(value, list | tuple) else [value]
    texts = (storable(str(text)).strip() for text in values if text is not None)
    return tuple(text for text in texts if text)


def facts_in(row: Mapping[str, Any], others: Iterable[str]) -> dict[str, str]:
    """The cells of `row` as texts, but for those of the columns `others`, empty ones and bytes."""
    left = {name: value for name, value in row.items() if name not in others}
    return {
        storable(name): storable(value if isinstance(value, str) else _shown(value))
        for name, value in left.items()
        if value not in (None, "") and not isinstance(value, bytes)
    }


def _shown(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)


def _check(file: Location, names: Iterable[str], columns: Columns) -> None:
    names = list(names)
    for column in (columns.url, columns.caption):
        if column not in names:
            raise InputError(f"{file} has no column {column!r}; its columns are {', '.join(names)}")


def _open(file: Location) -> IO[bytes]:
    """The bytes of `file`, decompressed, line by line if one likes."""
    compression = "gzip" if file.name.lower().endswith(".gz") else None
    stream: Any = file.filesystem.open_input_stream(file.path, compression=compression)
    return cast(IO[bytes], io.BufferedReader(stream))


def _read_text(file: Location, columns: Columns) -> Rows:
    with io.TextIOWrapper(_open(file), encoding="utf-8-sig") as lines:
        for line in lines:
            url, _, caption = line.strip().partition("\t") if "\t" in line else _parted(line)
            if url:
                yield {columns.url: url, columns.caption: caption}


def _parted(line: str) -> tuple[str, str, str]:
    url, *caption = line.strip().split(None, 1) or [""]
    return url, " ", "".join(caption)


def _read_separated(file: Location, columns: Columns, delimiter: str) -> Rows:
    """Every cell as the text that it is: what looks like a number may be a caption."""
    bad = list[_BadRow]()

    def skip(row: pyarrow.csv.InvalidRow) -> Literal["skip"]:
        bad.append(_BadRow(row.number or 0))
        return "skip"

    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip)
    with _open(file) as stream:
        names = pyarrow.csv.open_csv(stream, parse_options=parse).schema.names
    _check(file, names, columns)
    bad.clear()
    convert = pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in names})
    options = pyarrow.csv.ReadOptions(use_threads=False)
    with _open(file) as stream:
        for batch in pyarrow.csv.open_csv(stream, options, parse, convert):
            yield from batch.to_pylist()
            yield from bad
            bad.clear()


def _read_csv(file: Location, columns: Columns) -> Rows:
    return _read_separated(file, columns, ",")


def _read_tsv(file: Location, columns: Columns) -> Rows:
    return _read_separated(file, columns, "\t")


def _read_json_lines(file: Location, columns: Columns) -> Rows:
    with _open(file) as lines:
        checked = False
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            row = _object(line)
            if row is not None and not checked:
                _check(file, row, columns)
                checked = True
            yield _BadRow(number) if row is None else row


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_json(file: Location, columns: Columns) -> Rows:
    """A list of objects, or an object of columns, as pandas reads and writes them; or an object a line."""
    with _open(file) as stream:
        data = stream.read()
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise DatasetError(str(error)) from None
    except ValueError:
        yield from _read_json_lines(file, columns)
        return
    rows = value if isinstance(value, list) else _rows_of_columns(value)
    _check(file, next((row for row in rows if isinstance(row, dict)), {}), columns)
    yield from (row if isinstance(row, dict) else _BadRow(number) for number, row in enumerate(rows, 1))


def _rows_of_columns(value: Any) -> list[Any]:
    if not isinstance(value, dict) or not all(isinstance(column, dict | list) for column in value.values()):
        return [value]
    columns = {name: cells if isinstance(cells, list) else list(cells.values()) for name, cells in value.items()}
    return [dict(zip(columns, cells, strict=False)) for cells in zip(*columns.values(), strict=False)]


def _read_parquet(file: Location, columns: Columns) -> Rows:
    with file.filesystem.open_input_file(file.path) as source:
        table = pq.ParquetFile(source)
        _check(file, table.schema_arrow.names, columns)
        for batch in table.iter_batches(batch_size=10_000):
            batch.validate(full=True)  # Arrow takes any bytes for text
            yield from batch.to_pylist()


READERS: dict[str, Callable[[Location, Columns], Rows]] = {
    "txt": _read_text,
    "csv": _read_csv,
    "tsv": _read_tsv,
    "json": _read_json,
    "jsonl": _read_json_lines,
    "parquet": _read_parquet,
}
