"""Rows of OBELICS, as its card on Hugging Face describes them, into pages."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inputs import obelics
from pipeline.page import ImageReference, TextBlock
from shards.errors import DatasetError
from shards.foreign.records import BadRecord
from shards.location import locate

PAGE = "https://cars.example/forum/news/urus.728/"
IMAGE = "https://cdn.example/images/urus.jpg"
STRINGS = pa.list_(pa.string())
SCHEMA = pa.schema(
    [("images", STRINGS), ("metadata", pa.string()), ("general_metadata", pa.string()), ("texts", STRINGS)]
)


def row(**changed: Any) -> dict[str, Any]:
    said = {"document_url": PAGE, "unformatted_src": IMAGE, "src": IMAGE, "alt_text": "A Urus", "original_width": 800}
    plain = {
        "images": [None, IMAGE, None],
        "metadata": json.dumps([None, said, None]),
        "general_metadata": json.dumps({"url": PAGE, "warc_filename": "x.warc.gz", "warc_record_offset": 1}),
        "texts": ["Before.", None, "After.\n\nMore."],
    }
    return plain | changed


def blocks(**changed: Any) -> list[TextBlock | ImageReference]:
    _, page = obelics.page_of_row(row(**changed))
    return list(page.blocks)  # pyright: ignore


def test_texts_and_images_come_in_their_order():
    address, page = obelics.page_of_row(row())
    assert (address, page.url, page.language) == (PAGE, PAGE, "en")
    assert page.blocks == (
        TextBlock(text="Before."),
        ImageReference(url=IMAGE, alt="A Urus"),
        TextBlock(text="After.\n\nMore."),
    )


def test_the_mark_of_a_read_more_link_is_no_text():
    mark = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"
    assert blocks(texts=[f"One.\n\n{mark}\n\nTwo.", None, mark]) == [
        TextBlock(text="One.\n\nTwo."),
        ImageReference(url=IMAGE, alt="A Urus"),
    ]


def test_the_address_that_a_relative_one_meant_is_tried_second():
    said = {"unformatted_src": "../img/urus.jpg", "src": "https://cars.example/img/urus.jpg"}
    (image,) = blocks(images=[said["src"]], texts=[None], metadata=json.dumps([said]))
    assert image.url == "https://cars.example/img/urus.jpg"  # pyright: ignore
    assert image.alternatives == ("https://cars.example/forum/news/img/urus.jpg",)  # pyright: ignore


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"metadata": "[null, null"}, "malformed"),
        ({"metadata": "{}"}, "malformed"),
        ({"metadata": None}, "malformed"),
        ({"general_metadata": "[]"}, "malformed"),
        ({"texts": ["Before."]}, "lengths_differ"),
        ({"texts": None}, "lengths_differ"),
        ({"general_metadata": "{}"}, "bad_address"),
        ({"general_metadata": json.dumps({"url": "ftp://a.example/"})}, "bad_address"),
    ],
)
def test_a_row_that_gives_no_page_has_a_reason(changed, reason):
    with pytest.raises(BadRecord) as caught:
        obelics.page_of_row(row(**changed))
    assert caught.value.reason == reason


VALUES = [None, True, -1, 0.5, "", "x", "http://[", "https://a.example/b c.jpg", [], ["x"], {}, {"src": 1}]
"""What strangers' JSON may hold in any place."""


def test_any_json_gives_a_page_or_a_reason():
    chance, outcomes = random.Random(2306), Counter[str]()
    for _ in range(3000):
        said = [chance.choice(VALUES), {key: chance.choice(VALUES) for key in ("unformatted_src", "alt_text")}, None]
        address = chance.choice([PAGE, PAGE, *VALUES])
        image = chance.choice([IMAGE, "", "http://[", "data:,", "//"])
        changed = {"metadata": json.dumps(said), "general_metadata": json.dumps({"url": address})}
        try:
            _, page = obelics.page_of_row(row(**changed, images=[None, image, None]))
        except BadRecord as error:
            outcomes[error.reason] += 1
        else:
            outcomes["page"] += len(page.blocks) == 3
    assert outcomes.keys() == {"page", "bad_address"}
    assert outcomes.total() == 3000


def write(path: Path, count: int, row_group_size: int = 1000) -> Path:
    rows = [row(texts=[str(number), None, ""]) for number in range(count)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, row_group_size=row_group_size)
    return path


@pytest.mark.parametrize("row_group_size", [1, 7, 70, 1000])
@pytest.mark.parametrize(("start", "stop"), [(0, 150), (0, 1), (6, 8), (7, 14), (65, 149), (149, 150), (150, 150)])
def test_any_range_of_rows_can_be_read(tmp_path, row_group_size, start, stop):
    file = locate(str(write(tmp_path / "x.parquet", 150, row_group_size)))
    assert obelics.count_rows(file) == 150
    assert [row["texts"][0] for row in obelics.read_rows(file, start, stop)] == [str(n) for n in range(start, stop)]


def test_a_file_of_another_kind_is_refused(tmp_path):
    pq.write_table(pa.table({"url": ["a"]}), tmp_path / "list.parquet")
    with pytest.raises(DatasetError, match=r"list\.parquet has no column 'texts'; a file of OBELICS has texts, images"):
        obelics.count_rows(locate(str(tmp_path / "list.parquet")))
    (tmp_path / "text.parquet").write_text("words")
    with pytest.raises(DatasetError, match="cannot be read as Parquet"):
        obelics.count_rows(locate(str(tmp_path / "text.parquet")))
