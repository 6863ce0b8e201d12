"""Every format of lists that img2dataset reads, with what real lists have: numbers as captions, broken rows, gzip."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.command import InputError
from pipeline.inputs.pair_lists import Columns, read_list
from pipeline.inputs.pair_table import Pair, Run, arrange_captions, read_pairs, write_pairs
from shards.location import locate

COLUMNS = Columns(url="url", caption="caption")
A = Pair(address="http://x.org/a.jpg", captions=("A cat, sleeping",), facts={"licence": "CC0"})
B = Pair(address="http://x.org/b.jpg", captions=("007",))
ROWS = [
    {"url": "http://x.org/a.jpg", "caption": "A cat, sleeping", "licence": "CC0"},
    {"url": "http://x.org/b.jpg", "caption": "007", "licence": None},
]
CSV = 'url,caption,licence\nhttp://x.org/a.jpg,"A cat, sleeping",CC0\nhttp://x.org/b.jpg,007,\n'
BY_COLUMN = {name: {str(place): row[name] for place, row in enumerate(ROWS)} for name in ROWS[0]}
TEXTS = {
    "list.csv": CSV,
    "list.tsv": "url\tcaption\tlicence\nhttp://x.org/a.jpg\tA cat, sleeping\tCC0\nhttp://x.org/b.jpg\t007\t\n",
    "list.json": json.dumps(ROWS),
    "columns.json": json.dumps(BY_COLUMN),
    "lines.json": "\n".join(map(json.dumps, ROWS)),
    "list.jsonl": "\n".join(map(json.dumps, ROWS)) + "\n\n",
}


def read(path, columns=COLUMNS):
    return list(read_list(locate(str(path)), columns))


@pytest.mark.parametrize("name", TEXTS)
def test_lists_of_every_format_give_the_same_pairs(name, tmp_path):
    (tmp_path / name).write_text(TEXTS[name])
    assert read(tmp_path / name) == [A, B]
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(TEXTS[name].encode()))
    assert read(tmp_path / f"{name}.gz") == [A, B]


def test_parquet_keeps_further_columns_of_any_type_as_facts(tmp_path):
    rows = [row | {"similarity": 0.25, "tags": ["a", "b"], "thumbnail": b"\xff"} for row in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "list.parquet")
    first, second = read(tmp_path / "list.parquet")
    assert first.facts == {"licence": "CC0", "similarity": "0.25", "tags": '["a", "b"]'}
    assert second.facts == {"similarity": "0.25", "tags": '["a", "b"]'}


def test_text_has_an_address_a_line_and_perhaps_its_caption(tmp_path):
    (tmp_path / "list.txt").write_text(
        "\ufeffhttp://x.org/a.jpg\tA cat, sleeping\n\nhttp://x.org/b.jpg 007\nhttp://c\n"
    )
    assert [(pair.address, pair.captions) for pair in read(tmp_path / "list.txt")] == [
        ("http://x.org/a.jpg", ("A cat, sleeping",)),
        ("http://x.org/b.jpg", ("007",)),
        ("http://c", ()),
    ]


def test_rows_that_cannot_be_read_are_pairs_that_say_so(tmp_path):
    (tmp_path / "list.csv").write_text("url,caption\nhttp://a,one\nhttp://b,two,three\nhttp://c,four\n")
    assert sorted((pair.failure, pair.captions) for pair in read(tmp_path / "list.csv")) == [
        ("", ("four",)),
        ("", ("one",)),
        ("malformed", ()),
    ]
    (tmp_path / "list.jsonl").write_text('{"url": "http://a", "caption": "one"}\n[1]\n{"url"\n')
    assert [pair.failure for pair in read(tmp_path / "list.jsonl")] == ["", "malformed", "malformed"]
    assert read(tmp_path / "list.jsonl")[2].address.endswith("list.jsonl#3")


def test_half_a_surrogate_pair_and_no_address_at_all(tmp_path):
    (tmp_path / "list.jsonl").write_text('{"url": null, "caption": "half \\ud83d", "more": "\\ud83d"}\n')
    (pair,) = read(tmp_path / "list.jsonl")
    assert (pair.address, pair.captions, pair.facts) == ("", ("half ?",), {"more": "?"})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("list.csv", b"address,caption\n", "has no column 'url'; its columns are address, caption"),
        ("list.parquet", b"url,caption\n", "cannot be read as parquet"),
        ("list.csv", b"url,caption\nhttp://a,\xff\xfe\n", "cannot be read as csv"),
        ("list.txt", b"http://a \xff\n", "cannot be read as txt"),
        ("list.csv.gz", b"url,caption\n", "cannot be read as csv"),
        ("list.jsonl", b'{"link": 1}\n', "has no column 'url'"),
        ("list.json", b"[" * 100_000, "cannot be read as json"),
        ("list.xlsx", b"", "is no list of pairs"),
    ],
)
def test_a_list_that_is_not_what_its_name_says_is_refused(name, content, sentence, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read(tmp_path / name)


def test_several_captions_apart_or_together(tmp_path):
    rows = [
        {"url": "http://a", "caption": ["one", " two ", None, "one"], "n": 1},
        {"url": "http://a", "caption": "three", "n": 2},
        {"url": "http://b", "caption": None, "n": 3},
        {"url": "http://a", "caption": "four", "n": 4},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    apart = list(arrange_captions(read(tmp_path / "list.jsonl"), "apart"))
    assert [(pair.address, *pair.captions) for pair in apart] == [
        ("http://a", "one"), ("http://a", "two"), ("http://a", "three"), ("http://b", ""), ("http://a", "four"),
    ]  # fmt: skip
    together = list(arrange_captions(read(tmp_path / "list.jsonl"), "together"))
    assert [(pair.address, *pair.captions) for pair in together] == [
        ("http://a", "one", "two", "three"), ("http://b", ""), ("http://a", "four"),
    ]  # fmt: skip
    assert together[0].facts == {"n": "1"}, "of pairs that become one the first says the facts"


def test_a_table_gives_back_what_was_written_in_runs(tmp_path):
    pairs = [Pair(address=f"http://{n}", captions=(f"{n}", "more"), facts={"n": str(n), "a": ""}) for n in range(5)]
    table = locate(str(tmp_path / "0.parquet"))
    runs = write_pairs(table, 3, pairs, 2)
    assert [(run.table, run.group, run.pairs) for run in runs] == [(3, 0, 2), (3, 1, 2), (3, 2, 1)]
    assert [pair for run in runs for pair in read_pairs(table, run)] == pairs
    again = write_pairs(table, 3, [*pairs[:3], pairs[0], pairs[4]], 2)
    assert [run.digest for run in again][::2] == [run.digest for run in runs][::2]
    assert again[1].digest != runs[1].digest
    assert read_pairs(table, Run(table=3, group=1, pairs=1, digest="")) == pairs[2:3]
