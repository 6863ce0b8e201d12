"""Lists as people bring them: every form gives the same addresses, and what is wrong is said with its place."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.command import InputError
from pipeline.inputs.lists import count_rows, read_addresses, read_rows
from shards.location import locate

ADDRESSES = ["https://a.org/", "https://a.org/b?c=d&e=f", "https://xn--bcher-kva.example/%C3%A9"]
WRITTEN = ["https://a.org/", "https://A.org:443/b?c=d&e=f#part", "https://bücher.example/é", "https://a.org/"]


@pytest.fixture
def written(tmp_path):
    """A function that writes the addresses in a form, and returns where."""

    def write(name: str) -> str:
        path = tmp_path / name
        table = pa.table({"n": range(len(WRITTEN)), "url": WRITTEN})
        if name.endswith(".parquet"):
            pq.write_table(table, path)
        elif name.endswith((".json", ".jsonl")):
            path.write_text("\n".join(json.dumps(row) for row in table.to_pylist()))
        elif name.endswith((".csv", ".tsv")):
            mark = "," if name.endswith("csv") else "\t"
            path.write_text("\n".join([f"n{mark}url", *(f'{n}{mark}"{url}"' for n, url in enumerate(WRITTEN))]))
        else:
            path.write_text("\ufeff" + "\r\n\r\n".join(WRITTEN) + "\n")
        return str(path)

    return write


@pytest.mark.parametrize("name", ["x.txt", "x", "x.csv", "x.tsv", "x.jsonl", "x.json", "x.parquet"])
def test_every_form_gives_the_same_addresses(written, name):
    path = written(name)
    assert read_addresses(locate(path)) == ADDRESSES
    assert read_addresses(locate(f"file://{path}")) == ADDRESSES


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_rows_come_with_the_columns_that_are_asked_for(written, name):
    file = locate(written(name))
    assert read_rows(file, ["url", "n"], limit=2) == [{"url": url, "n": str(n)} for n, url in enumerate(WRITTEN[:2])]
    assert count_rows(file) == len(WRITTEN)
    with pytest.raises(InputError, match="has no column 'caption'; its columns are n, url"):
        read_rows(file, ["caption"])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.txt", b"https://a.org/\nftp://a.org/\n", "entry 2: 'ftp://a.org/' is not an http or https address"),
        ("x.txt", b"https://user:secret@a.org/\n", "entry 1: 'https://user:secret@a.org/' is not"),
        ("x.txt", b"\n \n", "names no address"),
        ("x.txt", b"https://a.org/\xff\n", "is not UTF-8 text"),
        ("x.csv", b"address\nhttps://a.org/\n", "has no column 'url'; its columns are address"),
        ("x.csv", b"url\nhttps://a.org/,2\n", "cannot be read as csv"),
        ("x.jsonl", b'{"url": "https://a.org/"', "cannot be read as jsonl"),
        ("x.jsonl", b'{"url": null}\n', "entry 1: '' is not an http or https address"),
        ("x.parquet", b"PAR1", "cannot be read as parquet"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_addresses(locate(str(tmp_path / name)))


def test_a_list_that_is_not_there_or_of_no_known_form_is_refused(tmp_path, written):
    with pytest.raises(InputError, match="cannot be read"):
        read_addresses(locate(str(tmp_path / "none.txt")))
    with pytest.raises(InputError, match=r"is neither .csv, .tsv, .json, .jsonl nor .parquet"):
        read_rows(locate(written("x.txt")), ["url"])


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.jsonl", "x.parquet"])
def test_any_bytes_are_a_list_or_refused(written, tmp_path, name):
    original = Path(written(name)).read_bytes()
    choice = random.Random(20261121)
    refused = 0
    for _ in range(200):
        data = bytearray(original)
        for _ in range(choice.randrange(1, 20)):
            data[choice.randrange(len(data))] = choice.randrange(256)
        (tmp_path / name).write_bytes(data)
        try:
            read_addresses(locate(str(tmp_path / name)))
        except InputError:
            refused += 1
    assert refused > 50
