"""Reading the lists that people bring: text, CSV, JSONL and Parquet, local or remote."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from jobs.command import InputError
from pipeline.addresses import canonical
from shards.errors import DatasetError
from shards.location import Location


def read_addresses(file: Location) -> list[str]:
    """The addresses of pages in `file`, canonical, each once, in order.

    Raises InputError if the file cannot be read, has no column `url`, or a line is not an http(s) address.
    """
    if file.name.endswith((".csv", ".tsv", ".jsonl", ".json", ".parquet")):
        lines = [row["url"] for row in read_rows(file, ["url"])]
    else:
        lines = [line for line in _read_text(file).splitlines() if line.strip()]
    addresses = [canonical(line) for line in lines]
    for number, (line, address) in enumerate(zip(lines, addresses, strict=True), start=1):
        if address is None:
            raise InputError(f"{file}, entry {number}: {line[:200]!r} is not an http or https address")
    if not addresses:
        raise InputError(f"{file} names no address")
    return list(dict.fromkeys(filter(None, addresses)))


def read_rows(file: Location, columns: Sequence[str], limit: int | None = None) -> list[dict[str, str]]:
    """The rows of the table in `file`, `columns` alone; null values are empty strings.

    Raises InputError if the file cannot be read as what its name says, or has no such column.
    """
    table = _read_table(file)
    for column in columns:
        if column not in table.column_names:
            raise InputError(f"{file} has no column {column!r}; its columns are {', '.join(table.column_names)}")
    rows = table.select(list(columns)).slice(0, limit).to_pylist()
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def count_rows(file: Location) -> int:
    return _read_table(file).num_rows


def _read_table(file: Location) -> pa.Table:
    suffix = file.name.rpartition(".")[2].lower()
    if suffix not in ("parquet", "json", "jsonl", "csv", "tsv"):
        raise InputError(f"{file} is neither .csv, .tsv, .json, .jsonl nor .parquet")
    data = io.BytesIO(_read(file))
    try:
        table = _parse_table(data, suffix)
        # Arrow takes any bytes for text; what is not UTF-8 would fail only where it is used.
        table.validate(full=True)
        table.select(table.column_names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as {suffix}: {error}") from None
    return table


def _parse_table(data: io.BytesIO, suffix: str) -> pa.Table:
    if suffix == "parquet":
        return pq.read_table(data)
    if suffix in ("json", "jsonl"):
        return pyarrow.json.read_json(data)
    options = pyarrow.csv.ParseOptions(delimiter="\t" if suffix == "tsv" else ",")
    return pyarrow.csv.read_csv(data, parse_options=options)


def _read_text(file: Location) -> str:
    try:
        return _read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: {error}") from None


def _read(file: Location) -> bytes:
    try:
        return file.read()
    except DatasetError as error:
        raise InputError(str(error)) from None
