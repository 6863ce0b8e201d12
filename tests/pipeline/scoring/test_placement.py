"""Images among paragraphs: which are compared, and MMC4's assignment against trying all of them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.placement import assign, images_of, in_assigned_order, near
from shards.document import Block, Document, Media, Text


def similarity(table: list[list[float]]) -> dict[tuple[int, int], float]:
    return {(image, text): value for image, row in enumerate(table) for text, value in enumerate(row)}


def best_sum(table: np.ndarray) -> float:
    """The largest sum of one number a row and at most one a column, or the other way round, by trying all."""
    if table.shape[0] > table.shape[1]:
        table = table.T
    rows, columns = table.shape
    return max(sum(table[range(rows), order]) for order in itertools.permutations(range(columns), rows))


def test_images_know_their_place(make_document):
    document = make_document(0, ["one\n\ntwo", 1, 2, "three", 3])
    assert [(image.medium, image.before) for image in images_of(document)] == [(0, 2), (1, 2), (2, 3)]
    assert [list(near(image, 3, 1)) for image in images_of(document)] == [[1, 2], [1, 2], [2]]
    assert list(near(images_of(document)[0], 3, None)) == [0, 1, 2]


def test_videos_count_among_the_media_and_are_no_images(make_document):
    frame = make_document(0, [1]).media[0].frames[0]
    video = Media(kind="video", frames=(frame, frame))
    document = Document(key="0", source="", blocks=(video, Text(text="one"), Media(kind="image", frames=(frame,))))
    assert [(image.medium, image.before) for image in images_of(document)] == [(1, 1)]


def test_the_example_of_the_readme_of_mmc4():
    """Its two images and three sentences, and the sentence of each, as its data give them."""
    table = [
        [0.24363446235656738, 0.31758785247802734, 0.27694183588027954],
        [0.2233106791973114, 0.3234919607639313, 0.26118797063827515],
    ]
    assert assign(similarity(table), [0, 1], [0, 1, 2]) == {0: 2, 1: 1}


def test_more_images_than_texts_as_in_the_test_of_mmc4():
    """Its own test of a table that is not square assigns rows 1 and 2; row 0 is left over, and likes both texts."""
    assert assign(similarity([[1.0, 1.0], [1.5, 1.0], [3.0, 2.6]]), [0, 1, 2], [0, 1]) == {0: 0, 1: 0, 2: 1}


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_no_other_assignment_has_a_larger_sum(images, texts, data):
    values = st.floats(-1, 1).map(lambda value: round(value, 3))
    table = data.draw(st.lists(st.lists(values, min_size=texts, max_size=texts), min_size=images, max_size=images))
    found = assign(similarity(table), range(images), range(texts))
    assert set(found) == set(range(images))
    if images <= texts:
        assert len(set(found.values())) == images
        assert sum(table[image][text] for image, text in found.items()) == pytest.approx(best_sum(np.array(table)))
    else:
        assert set(found.values()) == set(range(texts))


def test_what_was_dropped_takes_no_part():
    table = similarity([[0.9, 0.8, 0.1], [0.7, 0.2, 0.1], [0.3, 0.3, 0.3]])
    assert assign(table, [0, 1], [0, 1, 2]) == {0: 1, 1: 0}
    assert assign(table, [0, 1], [0, 2]) == {0: 0, 1: 2}
    assert assign(table, [0], [0, 1]) == {0: 0}
    assert assign(table, [], [0]) == {}
    assert assign(table, [0], []) == {}


def test_images_that_were_compared_with_few_paragraphs_share_them_or_have_none():
    nearby = {(0, 0): 0.5, (1, 0): 0.4, (1, 1): 0.1, (3, 0): 0.2}
    assert assign(nearby, [0, 1, 2, 3], [0, 1]) == {0: 0, 1: 1, 3: 0}


@pytest.mark.parametrize(
    ("order", "assigned", "expected"),
    [
        ("0a1b2", {0: 2, 1: 0}, "b01a2"),
        ("0a1b2", {}, "0a1b2"),
        ("a01b", {1: 0}, "ab01"),
        ("0ab1", {0: 1, 1: 1}, "0ab1"),
        ("0a2", {0: 1}, "0a2"),
        ("0ab3", {0: 5}, "0b3a"),
        ("ab", {1: 0}, "ab"),
    ],
    ids=[
        "each before its paragraph",
        "nothing assigned",
        "one stays where it stands",
        "two before one paragraph",
        "a paragraph that was dropped",
        "the last paragraph was dropped",
        "no paragraph left",
    ],
)
def test_order(make_document, order, assigned, expected):
    """Digits are paragraphs by their number, letters images: a is the first."""
    frame = make_document(0, [1]).media[0].frames[0]

    def block(letter: str) -> tuple[int, Block]:
        if letter.isdigit():
            return int(letter), Text(text=letter)
        return ord(letter) - ord("a"), Media(kind="image", frames=(frame,), alt=letter)

    found = in_assigned_order([block(letter) for letter in order], assigned)
    assert "".join(block.text if isinstance(block, Text) else block.alt for block in found) == expected
