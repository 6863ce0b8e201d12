"""The funnel: what was read is what was kept and what was lost, each thing once, and the picture shows no markup."""

import json
import xml.etree.ElementTree as ElementTree
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.funnel import QUANTITIES, Funnel, count_funnel, funnel_json
from pipeline.funnel_picture import funnel_svg
from pipeline.ledger import Entry, Record, ledger_of, write_ledger
from shards.location import locate
from shards.manifest import Commit


def paragraph(words: int, reason: str = "", stage: str = "") -> Entry:
    return Entry(kind="paragraph", address="a", reason=reason, stage=stage, measures={"words": float(words)})


def image(reason: str = "") -> Entry:
    return Entry(kind="image", address="i", reason=reason)


def document(reason: str = "", stage: str = "") -> Entry:
    return Entry(kind="document", address="a", reason=reason, stage=stage)


def funnel_of(*records: Record) -> Funnel:
    funnel = Funnel()
    for record in records:
        funnel.add(record)
    return funnel


def lost(funnel: Funnel) -> dict[str, dict[str, int]]:
    return {f"{step.stage}/{step.reason}": dict(step.lost) for step in funnel.steps}


def test_what_leaves_with_a_document_leaves_for_its_reason():
    funnel = funnel_of(
        Record("a", "key1", [paragraph(7), image("aspect_over"), paragraph(2, "words_under"), image(), document()]),
        Record("b", "key2", [paragraph(5), image("aspect_over"), image(), document("near_text", "duplicates")]),
        Record("c", "key3", [paragraph(3, "repeated", "lines"), image(), document("words_under")]),
    )
    assert dict(funnel.read) == {"documents": 3, "images": 5, "words": 17}
    assert list(lost(funnel).items()) == [
        ("lines/paragraph_repeated", {"words": 3}),
        ("paragraphs/paragraph_words_under", {"words": 2}),
        ("images/image_aspect_over", {"images": 2}),
        ("documents/document_words_under", {"documents": 1, "images": 1}),
        ("duplicates/document_near_text", {"documents": 1, "images": 1, "words": 5}),
    ]
    assert {name: funnel.kept[name] for name in QUANTITIES} == {"documents": 1, "images": 1, "videos": 0, "words": 7}


def test_pages_and_pairs_that_never_became_documents_are_documents_lost():
    page = Record("p", entries=[Entry(kind="page", address="p", reason="http_404")])
    short = Record("q", entries=[Entry(kind="page", address="q", reason="words_under", measures={"words": 4.0})])
    pair = Record("r")
    pair.keep("pair")
    pair.drop("image", "timeout")
    uncaptioned = Record("s")
    uncaptioned.keep("pair")
    uncaptioned.keep("image")
    uncaptioned.drop("caption", "empty")
    funnel = funnel_of(page, short, pair, uncaptioned)
    assert lost(funnel) == {
        "pages/page_http_404": {"documents": 1, "words": 0},
        "pages/page_words_under": {"documents": 1, "words": 4},
        "images/image_timeout": {"documents": 1, "images": 1, "words": 0},
        "captions/caption_empty": {"documents": 1, "images": 1, "words": 0},
    }


def test_words_of_captions_are_counted_one_by_one():
    captions = [
        Entry(kind="caption", address="p", number=number, reason=reason, measures={"words": words})
        for number, reason, words in ((0, "", 5.0), (1, "words_under", 2.0))
    ]
    funnel = funnel_of(Record("p", "key", [Entry(kind="pair", address="p"), *captions, image()]))
    assert dict(funnel.read) == {"documents": 1, "images": 1, "words": 7}
    assert lost(funnel) == {"captions/caption_words_under": {"words": 2}}
    assert funnel.kept["words"] == 5


reasons = st.sampled_from(["", "a_under", "b_over"])
entries = st.lists(st.one_of(st.builds(paragraph, st.integers(0, 9), reasons), st.builds(image, reasons)), max_size=6)
records = st.lists(st.tuples(entries, reasons), max_size=8)


@given(records)
def test_nothing_is_lost_twice_and_the_kept_documents_hold_what_is_kept(drawn):
    made = [Record(str(n), f"key{n}", [*parts, document(reason)]) for n, (parts, reason) in enumerate(drawn)]
    funnel = funnel_of(*made)
    left = Counter[str]()
    for record in made:
        if not record.entries[-1].reason:
            left["documents"] += 1
            left["images"] += sum(entry.kind == "image" and not entry.reason for entry in record.entries)
            left["words"] += sum(
                int(entry.measures["words"])
                for entry in record.entries
                if entry.kind == "paragraph" and not entry.reason
            )
    assert all(funnel.kept[name] == left[name] for name in QUANTITIES)


def test_the_funnel_of_an_output_is_counted_from_the_ledgers_of_its_commits(tmp_path, ray_cluster):
    output = locate(str(tmp_path))
    first, second = Record("a", "k", [image(), document()]), Record("b", "l", [image("aspect_over"), document("media")])
    write_ledger(ledger_of(output, "00", 0), [first])
    write_ledger(ledger_of(output, "01", 2), [second])
    commits = [
        Commit(chunk=chunk, shards=(), counts={}, drops={}, generation=generation)
        for chunk, generation in (("00", 0), ("01", 2), ("02", 0))
    ]
    assert json.loads(funnel_json(count_funnel(output, commits))) == {
        "read": {"documents": 2, "images": 2, "videos": 0, "words": 0},
        "steps": [
            {"stage": "images", "reason": "image_aspect_over", "documents": 0, "images": 1, "videos": 0, "words": 0},
            {"stage": "documents", "reason": "document_media", "documents": 1, "images": 0, "videos": 0, "words": 0},
        ],
        "kept": {"documents": 1, "images": 1, "videos": 0, "words": 0},
    }


def test_the_picture_is_xml_with_a_row_a_step_whatever_a_reason_says():
    funnel = funnel_of(
        Record("a", "k", [image('<script a="b">&'), image(), document()]), Record("b", "l", [document("x", "lines")])
    )
    svg = ElementTree.fromstring(funnel_svg(funnel))
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert 'image_<script a="b">&' in texts
    assert [text for text in texts if text in ("read", "kept", "lines: document_x")] == [
        "read",
        "lines: document_x",
        "kept",
    ]
    assert "1 (-1)" in texts
