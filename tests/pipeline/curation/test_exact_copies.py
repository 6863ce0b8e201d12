"""Documents that are the same by address, text or images: which of them stays."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.curation.exact import (
    SCHEMA,
    address_of,
    find_copies,
    image_set_fingerprint,
    published,
    text_fingerprint,
    words_of,
)
from shards.document import Document, Frame, Media, Text

NOBODY = np.empty(0, np.int64)


def page(source="https://example.org/a/page", images=(), **facts):
    media = [Media(kind="image", frames=(Frame(data=data, format="png", width=1, height=1),)) for data in images]
    return Document(key="k", source=source, blocks=(Text(text="text"), *media), facts=facts)


def rows(*documents):
    columns = zip(*((fingerprint, place, f"k{place}", worth) for place, fingerprint, worth in documents), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA)


@pytest.mark.parametrize(
    ("canonical", "address"),
    [
        (None, "https://example.org/a/page"),
        ("", "https://example.org/a/page"),
        ("https://EXAMPLE.org/b#top", "https://example.org/b"),
        ("../c?d=1", "https://example.org/c?d=1"),
        ("https://elsewhere.example/original", "https://elsewhere.example/original"),
        ("https://example.org/", "https://example.org/a/page"),  # a site that calls all its pages its home page
        ("javascript:void(0)", "https://example.org/a/page"),
        ("http://[bad", "https://example.org/a/page"),
    ],
)
def test_the_address_of_a_page_is_the_one_that_it_calls_its_own(canonical, address):
    facts = {} if canonical is None else {"canonical": canonical}
    assert address_of(page(**facts)) == address


@pytest.mark.parametrize("source", ["/data/table.parquet#17", "http://[bad", "http://x.org/film.mp4#t=0,22.5"])
def test_what_is_no_page_has_its_source_for_an_address(source):
    assert address_of(page(source)) == source


@pytest.mark.parametrize(
    ("said", "second"),
    [
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02", 86_400),
        ("1970-01-01T00:00:10Z", 10),
        ("last week", -(2**62)),
        ("", -(2**62)),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200),
    ],
)
def test_when_a_page_was_published_is_a_second(said, second):
    assert published(page(published=said)) == second


def test_texts_are_the_same_whatever_their_case_punctuation_and_white_space():
    one, other = words_of("Pan pizza: start, tonight!"), words_of(" pan PIZZA\n\nstart tonight")
    assert text_fingerprint(one) == text_fingerprint(other)
    assert text_fingerprint(one) != text_fingerprint(words_of("start pan pizza tonight"))
    assert text_fingerprint(words_of("... !")) is None


def test_image_sets_are_the_same_whatever_their_order_and_how_often_one_is_shown():
    assert image_set_fingerprint(page(images=(b"a", b"b"))) == image_set_fingerprint(page(images=(b"b", b"a", b"b")))
    assert image_set_fingerprint(page(images=(b"a", b"b"))) != image_set_fingerprint(page(images=(b"ab",)))
    assert image_set_fingerprint(page()) is None


def test_the_worthiest_of_equal_documents_stays_and_of_equally_worthy_ones_the_first_or_the_last():
    table = rows((0, 7, 1), (1, 7, 3), (2, 7, 3), (3, 8, 9))
    kept_first = find_copies(table, NOBODY, "same_text").to_pylist()
    assert [(row["key"], row["other"], row["reason"]) for row in kept_first] == [
        ("k0", "k1", "same_text"),
        ("k2", "k1", "same_text"),
    ]
    kept_last = find_copies(table, NOBODY, "same_address", "last").to_pylist()
    assert {(row["key"], row["other"]) for row in kept_last} == {("k0", "k2"), ("k1", "k2")}


def test_a_document_that_has_left_is_no_reason_for_another_to_leave():
    assert find_copies(rows((0, 7, 1), (1, 7, 3)), np.array([1]), "same_text").num_rows == 0
