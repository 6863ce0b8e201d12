"""Pictures that are the same: against ImageHash, on real photographs, and by hand."""

import io

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.curation.components import label
from pipeline.curation.contamination import SIDE as PIXELS
from pipeline.curation.pictures import (
    MOST_DISTANCE,
    SCHEMA,
    contents_in_bands,
    find_frequent,
    find_repeated,
    images_by_picture,
    link_contents,
    look_of,
    looks_like,
)
from pipeline.pixels import frame_pixels
from shards.document import Frame

NOBODY = np.empty(0, np.int64)
FAR = 0xFFFFF << 30
GREY, WHITE = bytes([90] * 192), bytes([255] * 192)


def rows(*images):
    """Rows of content, document, medium, hash, and a thumbnail, grey if none is given."""
    dicts = [
        {"content": content, "document": document, "key": f"k{document}", "medium": medium}
        | {"hash": hash_, "thumbnail": thumbnail[0] if thumbnail else GREY}
        for content, document, medium, hash_, *thumbnail in images
    ]
    return pa.Table.from_pylist(dicts, schema=SCHEMA)


def by_picture(table, distance=MOST_DISTANCE, dropped=NOBODY):
    links = link_contents(contents_in_bands(table, dropped, distance), distance)
    return images_by_picture(table, dropped, label(links, "content"))


def look(image):
    data = io.BytesIO()
    image.save(data, "PNG")
    return look_of(frame_pixels(Frame(data=data.getvalue(), format="png", width=1, height=1), PIXELS))


def is_near(one, other, distance=MOST_DISTANCE):
    thumbnails = [np.frombuffer(look[1], np.uint8) for look in (one, other)]
    hashes = np.array([other[0]], np.uint64)
    return bool(looks_like((np.uint64(one[0]), thumbnails[0]), hashes, thumbnails[1][None], distance)[0])


@pytest.fixture(scope="session")
def photographs(material):
    names = sorted((material / "images-captions" / "coco-by" / "images").iterdir())
    return [Image.open(name).convert("RGB") for name in names]


def test_hashes_are_those_of_imagehash(photographs):
    for photograph in photographs[:10]:
        small = photograph.resize((200, 150))
        assert f"{look_of(np.asarray(small))[0]:016x}" == str(imagehash.phash(small))


def test_photographs_stored_again_are_the_same_and_no_two_others_are(photographs):
    looks = [look(photograph) for photograph in photographs]
    for photograph, own in zip(photographs, looks, strict=True):
        again = io.BytesIO()
        photograph.resize((photograph.width // 2, photograph.height // 2)).save(again, "JPEG", quality=75)
        assert is_near(own, look(Image.open(again)))
    assert len(looks) > 20
    assert not any(is_near(one, other, 8) for place, one in enumerate(looks) for other in looks[:place])


def test_pictures_of_one_shape_in_other_colours_are_different(photographs):
    red, green, blue = photographs[0].split()
    turned = Image.merge("RGB", (green, blue, red))
    dark = Image.fromarray(np.asarray(photographs[0]) // 2)
    assert is_near(look(photographs[0]), look(photographs[0].resize((100, 80))), 8)
    assert not is_near(look(photographs[0]), look(dark), 64)
    assert not is_near(look(photographs[0]), look(turned), 64)


@settings(deadline=None)
@given(
    hash_=st.integers(0, 2**64 - 1),
    distance=st.integers(0, 8),
    flips=st.lists(st.integers(0, 63), max_size=9),
)
def test_hashes_within_the_distance_are_found_and_no_others(hash_, distance, flips):
    other = hash_
    for bit in set(flips):
        other ^= 1 << bit
    pictures = by_picture(rows((1, 0, 0, hash_), (2, 1, 0, other)), distance)["picture"].to_pylist()
    assert pictures == ([1, 1] if (hash_ ^ other).bit_count() <= distance else [1, 2])


def test_equal_hashes_of_different_thumbnails_are_different_pictures():
    assert by_picture(rows((1, 0, 0, 5), (2, 1, 0, 5, WHITE)))["picture"].to_pylist() == [1, 2]


def test_a_picture_in_more_documents_than_allowed_leaves_all_of_them():
    near = [0, 0b11, 0b1100, 0b110000]
    images = by_picture(rows(*((place, place, 2, hash_) for place, hash_ in enumerate(near)), (9, 4, 0, FAR)))
    decisions = find_frequent(images, most=3).to_pylist()
    assert [(row["key"], row["medium"], row["measure"]) for row in decisions] == [(f"k{n}", 2, 4) for n in range(4)]
    assert {(row["reason"], row["threshold"]) for row in decisions} == {("documents_over", 3)}
    assert find_frequent(images, most=4).num_rows == 0


def test_documents_are_counted_once_and_dropped_ones_not():
    table = rows((1, 0, 0, 5), (1, 0, 1, 5), (1, 1, 0, 5), (1, 2, 0, 5))
    assert find_frequent(by_picture(table), most=2).num_rows == 4
    assert find_frequent(by_picture(table, dropped=np.array([2])), most=2).num_rows == 0


def test_what_a_document_has_shown_before_leaves():
    images = by_picture(rows((1, 0, 0, 0), (2, 0, 3, 0b11), (3, 0, 5, FAR), (1, 1, 0, 0), (1, 1, 2, 0)))
    assert sorted((row["key"], row["medium"]) for row in find_repeated(images).to_pylist()) == [("k0", 3), ("k1", 2)]


def test_no_image_is_no_error():
    assert find_repeated(by_picture(rows())).num_rows == 0
    assert find_frequent(by_picture(rows()), most=1).num_rows == 0
