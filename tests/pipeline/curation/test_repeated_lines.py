"""Paragraphs that a host repeats: counted in documents, host by host."""

import pyarrow as pa
import pytest

from pipeline.curation.lines import SCHEMA, find_repeated, line_rows
from shards.document import Document, Text


def page(number, host, *paragraphs, blocks=1):
    texts = ("\n\n".join(paragraphs),) if blocks == 1 else paragraphs
    return Document(
        key=f"k{number}", source=f"https://{host}/{number}", blocks=tuple(Text(text=text) for text in texts)
    )


def decisions(*pages, most=2):
    rows = [row for number, document in enumerate(pages) for row in line_rows(document, number)]
    found = find_repeated(pa.Table.from_pylist(rows, schema=SCHEMA), most).to_pylist()
    return sorted((row["key"], row["paragraph"], row["measure"]) for row in found)


def test_a_paragraph_in_three_documents_of_a_host_leaves_them_all():
    pages = [page(number, "a.example", f"Only here {number}", "Subscribe!") for number in range(3)]
    assert decisions(*pages) == [("k0", 1, 3), ("k1", 1, 3), ("k2", 1, 3)]
    assert decisions(*pages, most=3) == []


def test_two_documents_are_not_enough_however_often_they_say_it():
    pages = [page(number, "a.example", "Subscribe!", "Subscribe!", "Subscribe!") for number in range(2)]
    assert decisions(*pages) == []


def test_another_host_and_another_case_are_another_line():
    pages = [page(number, "a.example", "Subscribe!") for number in range(2)]
    assert decisions(*pages, page(2, "b.example", "Subscribe!"), page(3, "a.example", "SUBSCRIBE!")) == []
    assert len(decisions(*pages, page(2, "A.example", "Subscribe!"))) == 3


def test_paragraphs_are_numbered_over_all_texts_of_a_document():
    pages = [page(number, "a.example", f"One {number}", f"Two {number}", "Subscribe!", blocks=3) for number in range(3)]
    assert [place for _, place, _ in decisions(*pages)] == [2, 2, 2]


def test_captions_are_no_boilerplate_and_have_their_place_in_the_count():
    blocks = (Text(text="A bird.", caption=True), Text(text="Subscribe!"))
    pages = [Document(key=f"k{number}", source=f"https://a.example/{number}", blocks=blocks) for number in range(3)]
    assert decisions(*pages) == [("k0", 1, 3), ("k1", 1, 3), ("k2", 1, 3)]


@pytest.mark.parametrize("source", ["", "table.parquet#3", "http://[bad"])
def test_documents_from_no_host_have_no_lines(source):
    document = Document(key="k", source=source, blocks=(Text(text="Subscribe!"),))
    assert list(line_rows(document, 0)) == []
