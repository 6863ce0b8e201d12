"""Objects of MMC4, as its repository describes them, into pages; and the files that hold them."""

import asyncio
import base64
import gzip
import io
import json
import random
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from pipeline.door import FetchError
from pipeline.inputs import mmc4
from pipeline.inputs.mmc4 import HeldImages
from pipeline.page import ImageReference, TextBlock
from shards.errors import DatasetError
from shards.foreign.records import BadRecord
from shards.location import locate

PAGE = "http://cars.example/hofi-48.html"
SENTENCES = ["Zero.", "One.", "Two.", "Three."]


def image(name: str, place: object, **more: str) -> dict[str, Any]:
    url = f"http://cars.example/{name}.jpg"
    return {"image_name": f"{name}.jpg", "raw_url": url, "matched_text_index": place, "matched_sim": 0.3} | more


def record(*images: dict[str, Any], **changed: Any) -> bytes:
    plain = {"text_list": SENTENCES, "url": PAGE, "image_info": images, "similarity_matrix": []}
    return json.dumps(plain | changed).encode()


def order(text: bytes) -> list[str]:
    """The page's texts, and of its images the names."""
    _, page = mmc4.page_of_object(text, HeldImages())
    return [
        block.text if isinstance(block, TextBlock) else block.url.rpartition("/")[2].removesuffix(".jpg")
        for block in page.blocks
        if isinstance(block, TextBlock | ImageReference)
    ]


def test_images_stand_before_their_sentences_whatever_their_order_in_the_file():
    expected = ["Zero.", "b", "One. Two.", "a", "Three."]
    assert order(record(image("a", 3), image("b", 1))) == expected
    assert order(record(image("b", 1), image("a", 3))) == expected


def test_images_of_one_sentence_keep_their_order():
    assert order(record(image("b", 2), image("a", 2), image("c", 0))) == ["c", "Zero. One.", "b", "a", "Two. Three."]


def test_an_image_of_a_sentence_that_is_not_there_comes_last():
    assert order(record(image("a", 9), image("b", 4))) == ["Zero. One. Two. Three.", "b", "a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "malformed"),
        (b"[]", "malformed"),
        (b"[" * 100_000, "malformed"),
        (record(text_list="words"), "malformed"),
        (record(text_list=[1]), "malformed"),
        (record(image_info=["a.jpg"]), "malformed"),
        (record(image("a", None)), "malformed"),
        (record(image("a", -1)), "malformed"),
        (record({"matched_text_index": 0}), "malformed"),
        (record(url="file:///etc/passwd"), "bad_address"),
        (record(url=None), "bad_address"),
    ],
)
def test_an_object_that_gives_no_page_has_a_reason(text, reason):
    with pytest.raises(BadRecord) as caught:
        mmc4.page_of_object(text, HeldImages())
    assert caught.value.reason == reason


def test_mutants_give_a_page_or_a_reason():
    chance, outcomes = random.Random(2304), Counter[str]()
    plain = record(image("a", 3, image_base64="YWJj"), image("b", 1))
    for _ in range(3000):
        text = bytearray(plain)
        for _ in range(chance.randrange(1, 9)):
            text[chance.randrange(len(text))] = chance.choice(b'0123456789[]{}",:-ntrue \xff')
        try:
            _, page = mmc4.page_of_object(bytes(text), HeldImages())
        except BadRecord as error:
            outcomes[error.reason] += 1
        else:
            outcomes["page"] += all(isinstance(block, TextBlock | ImageReference) for block in page.blocks)
    assert outcomes.keys() == {"page", "malformed", "bad_address"}
    assert outcomes["page"] > 100


def fetched(held: HeldImages, url: str, most_bytes: int = 100) -> bytes | str:
    try:
        return asyncio.run(held.fetch(url, most_bytes)).data
    except FetchError as error:
        return error.reason


@pytest.mark.parametrize("spelling", [str, lambda text: str(text.encode())], ids=["plain", "as Python prints bytes"])
def test_images_that_came_with_their_page_are_held(spelling):
    held, text = HeldImages(), spelling(base64.b64encode(b"bytes").decode())
    _, page = mmc4.page_of_object(record(image("a", 0, image_base64=text), image("b", 0)), held)
    first, second = (block.url for block in page.blocks if isinstance(block, ImageReference))
    assert fetched(held, first) == b"bytes"
    assert fetched(held, first, most_bytes=4) == "too_large"
    assert fetched(held, second) == "not_in_archive"


def test_base64_that_is_none_is_held_as_no_image():
    held = HeldImages()
    mmc4.page_of_object(record(image("a", 0, image_base64="b'%%'")), held)
    assert fetched(held, "http://cars.example/a.jpg") == b""


LINES = [json.dumps({"n": number}).encode() for number in range(30)]
TEXT = b"\n".join([*LINES[:10], b"", *LINES[10:]]) + b"\n"


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("docs_no_face_shard_0_v2.jsonl", data)
    return buffer.getvalue()


def tarred(_: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, line in enumerate(LINES):
            for suffix, data in (("json", line), ("txt", b"no page")):
                member = tarfile.TarInfo(f"{number:032x}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


FORMS = {"x.jsonl": bytes, "x.jsonl.gz": gzip.compress, "x.jsonl.zst": zstd.compress, "x.zip": zipped, "x.tar": tarred}


@pytest.mark.parametrize(("name", "form"), FORMS.items())
def test_objects_come_from_every_form_of_file(tmp_path: Path, name, form):
    (tmp_path / name).write_bytes(form(TEXT))
    file = locate(str(tmp_path / name))
    assert mmc4.count_objects(file) == (30, "")
    for start, stop in [(0, 30), (0, 1), (9, 11), (29, 30), (5, 5)]:
        assert [text.strip() for text in mmc4.read_objects(file, start, stop)] == LINES[start:stop]


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst", "x.tar"])
def test_a_cut_file_gives_what_stands_before_the_cut_and_says_so(tmp_path: Path, name):
    many = b"".join(b'{"n": "%s"}\n' % base64.b64encode(bytes([n % 251, n % 7]) * 999) for n in range(3000))
    whole = FORMS[name](many)
    (tmp_path / name).write_bytes(whole[: len(whole) * 3 // 5 + 700])
    file = locate(str(tmp_path / name))
    count, note = mmc4.count_objects(file)
    assert 0 < count < 3000
    assert f"{name} is cut or broken after {count} pages, which were kept" in note
    assert len(list(mmc4.read_objects(file, 0, count))) == count


def test_a_file_without_a_beginning_is_refused(tmp_path: Path):
    (tmp_path / "x.zip").write_bytes(zipped(TEXT)[:-40])
    with pytest.raises(DatasetError, match=r"x\.zip cannot be read"):
        mmc4.count_objects(locate(str(tmp_path / "x.zip")))
