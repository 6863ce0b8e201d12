"""A document held against rules, what is kept of it, and what other rules would have made of it."""

from dataclasses import replace

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.curation.judge import Rules, judge, paragraphs_of, settle
from pipeline.curation.verdicts import Verdict
from pipeline.curation.write import keep, without_personal
from pipeline.ledger import Record
from pipeline.ledger.query import count_reasons, parse_rule, with_rule, would_be
from pipeline.rules.bounds import Bounds
from pipeline.scoring.scores import DocumentScores
from shards.chunk import Tally
from shards.document import Block, Document, Frame, Media, Text

ENGLISH = "This is what people say of the town and of all that is in it, though none of them has ever been there."
GERMAN = "Das ist es, was die Leute über die Stadt sagen und über alles darin, obwohl noch keiner von ihnen dort war."


def image(width: int = 96, height: int = 80, seed: int = 0) -> Media:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    frame = Frame(data=simplejpeg.encode_jpeg(pixels), format="jpg", width=width, height=height)
    return Media(kind="image", frames=(frame,), url=f"http://x.org/{seed}-{width}x{height}.jpg")


def video() -> Media:
    return replace(image(), kind="video", url="clip.mp4")


def document(*blocks: Block) -> Document:
    return Document(key="k", source="http://x.org/page", blocks=blocks, measures={"seconds": 3.0})


def fates(record: Record) -> list[tuple[str, int, str]]:
    return [(entry.kind, entry.number, entry.reason) for entry in record.entries]


def test_a_document_of_which_nothing_is_dropped_stays_as_it_is():
    five = [Text(text=f"caption {number} of five", caption=True) for number in range(5)]
    for blocks in (
        [image(), *five],
        [Text(text=""), Text(text="two texts\n\n\n\n\nthat stand apart"), image(), Text(text="\n\n"), Text(text="end")],
    ):
        page = document(*blocks)
        kept = keep(page, judge(page, Rules()))
        assert kept is not None
        assert kept.blocks == page.blocks


def test_texts_are_one_where_the_medium_between_them_went_but_captions_stay_apart():
    page = document(
        image(),
        Text(text="first caption", caption=True),
        image(60, 60),
        Text(text="second caption", caption=True),
        Text(text="before"),
        image(60, 61),
        Text(text="after\n\nend"),
        Text(text="apart"),
    )
    kept = keep(page, judge(page, Rules(image={"side": Bounds(least=64)})))
    assert kept is not None
    texts = [(block.text, block.caption) for block in kept.blocks if isinstance(block, Text)]
    assert texts == [
        ("first caption", True),
        ("second caption", True),
        ("before\n\nafter\n\nend", False),
        ("apart", False),
    ]


def test_a_document_is_measured_as_its_paragraphs_and_images_leave_it():
    rules = Rules(
        document={"media": Bounds(least=2), "words": Bounds(most=8)},
        paragraph={"words": Bounds(least=2)},
        image={"side": Bounds(least=64), "aspect": Bounds(most=2)},
    )
    page = document(
        Text(text="Home\n\nfour words are here"),
        image(),
        Text(text="its own caption", caption=True),
        image(200, 90),
        video(),
        Text(text="All rights reserved"),
        image(60, 60),
    )
    record = judge(page, rules, lines=[Verdict(paragraph=3, reason="host_documents_over", measure=9, threshold=2)])
    assert fates(record) == [
        ("paragraph", 0, "words_under"),
        ("paragraph", 1, ""),
        ("image", 0, ""),
        ("paragraph", 2, ""),
        ("image", 1, "aspect_over"),
        ("video", 2, ""),
        ("paragraph", 3, "host_documents_over"),
        ("image", 3, "side_under"),
        ("document", -1, ""),
    ]
    first, footer, own = record.entries[0], record.entries[6], record.entries[-1]
    assert (first.measure, first.threshold, first.stage) == (1, 2, "")
    assert (footer.measure, footer.threshold, footer.stage, footer.measures["words"]) == (9, 2, "lines", 3)
    assert (own.measures["words"], own.measures["media"]) == (7, 2)
    kept = keep(page, record)
    assert kept is not None
    assert kept.blocks == (Text(text="four words are here"), page.blocks[1], page.blocks[2], page.blocks[4])
    assert (kept.measures["words"], kept.measures["seconds"]) == (7, 3)
    assert judge(page, replace(rules, document={"words": Bounds(most=6)})).entries[-1].reason == "words_over"


def test_texts_between_which_a_picture_stood_are_one_without_it():
    page = document(Text(text="one"), image(60, 60), Text(text="two"), image())
    kept = keep(page, judge(page, Rules(image={"side": Bounds(least=64)})))
    assert kept is not None
    assert kept.blocks == (Text(text="one\n\ntwo"), page.blocks[3])


def test_a_short_paragraph_has_the_language_of_its_document_and_a_long_one_its_own():
    rules = Rules(paragraph={"wanted_language": Bounds(least=0.5)})
    page = document(Text(text="\n\n".join([ENGLISH, "Wir danken", GERMAN, ENGLISH, ENGLISH])), image())
    record = judge(page, rules)
    assert [entry.reason for entry in record.entries if entry.kind == "paragraph"] == [
        "",
        "",
        "wanted_language_under",
        "",
        "",
    ]


def test_a_picture_that_cannot_be_decoded_is_dropped_as_broken():
    broken = replace(image(), frames=(Frame(data=b"\xff\xd8\xff no picture", format="jpg", width=9, height=9),))
    record = judge(document(Text(text="words"), broken), Rules())
    assert fates(record)[1:] == [("image", 0, "broken"), ("document", -1, "media_under")]


def test_what_models_say_is_a_measure_and_may_move_pictures():
    page = document(image(seed=1), Text(text="about the first\n\nabout the second"), image(seed=2))
    scores = DocumentScores(
        measures={0: {"nsfw": 0.1}, 1: {"nsfw": 0.7}},
        similarity={(0, 0): 0.1, (0, 1): 0.9, (1, 0): 0.6, (1, 1): 0.2},
    )
    record = judge(page, Rules(), scores=scores)
    entries = [entry for entry in record.entries if entry.kind == "image"]
    assert [entry.measures["nsfw"] for entry in entries] == [0.1, 0.7]
    assert [entry.measures["similarity"] for entry in entries] == [0.9, 0.6]
    assert [entry.measures["assigned_paragraph"] for entry in entries] == [1, 0]
    moved = keep(page, record, "similarity")
    assert moved is not None
    assert moved.blocks == (page.blocks[2], Text(text="about the first"), page.blocks[0], Text(text="about the second"))
    left = keep(page, record)
    assert left is not None
    assert left.blocks == page.blocks


def test_verdicts_of_passes_are_about_what_the_rules_left():
    page = document(Text(text="words"), image(60, 60), image(seed=1), image(seed=2))
    rules = Rules(image={"side": Bounds(least=64)}, document={"media": Bounds(least=2)})
    record = judge(page, rules)
    once = Verdict(medium=1, reason="documents_over", measure=40, threshold=10)
    again = Verdict(medium=1, reason="benchmark_image", other="test.jpg")
    settle(record, {"pictures": [once], "contamination": [again]}, rules)
    assert fates(record)[1:] == [
        ("image", 0, "side_under"),
        ("image", 1, ""),
        ("image", 2, "documents_over"),
        ("document", -1, "media_under"),
    ]
    assert (record.entries[3].stage, record.entries[3].measure, record.entries[3].other) == ("pictures", 40, "")
    assert (record.entries[-1].measure, record.entries[-1].stage) == (1, "")
    copy = judge(page, rules)
    settle(copy, {"duplicates": [Verdict(reason="same_text", other="l")], "pictures": [once]}, rules)
    own = copy.entries[-1]
    assert (own.reason, own.stage, own.other, own.measures["media"]) == ("same_text", "duplicates", "l", 1)


def test_placeholders_stand_for_persons_in_what_is_kept():
    tally = Tally()
    made = without_personal(document(Text(text="ask a@b.org, c@d.org or 8.8.8.8"), image()), "US", tally)
    assert made.blocks[0] == Text(text="ask <email>, <email> or <ip>")
    assert dict(tally.counts) == {"email_addresses_replaced": 2, "ip_addresses_replaced": 1}


IMAGES = [image(60, 60, 1), image(96, 80, 2), image(200, 70, 3)]
words = st.lists(st.sampled_from("a the of cake BUTTER 12 -".split()), min_size=1, max_size=5).map(" ".join)
blocks = st.lists(
    st.one_of(
        st.builds(Text, text=st.lists(words, min_size=1, max_size=3).map("\n\n".join), caption=st.booleans()),
        st.sampled_from(IMAGES),
    ),
    max_size=5,
)
image_rules = st.fixed_dictionaries(
    {},
    optional={
        "side": st.sampled_from([Bounds(least=65), Bounds(least=75)]),
        "aspect": st.sampled_from([Bounds(most=1.1), Bounds(most=2)]),
    },
)
document_rules = st.fixed_dictionaries(
    {},
    optional={"media": st.sampled_from([Bounds(least=1), Bounds(least=2, most=3)]), "words": st.just(Bounds(least=3))},
)


@settings(max_examples=60, deadline=None)
@given(blocks, image_rules, document_rules, st.integers(0, 3))
def test_what_is_kept_is_what_the_record_keeps(drawn, images, documents, least):
    page = document(*drawn)
    record = judge(page, Rules(document=documents, paragraph={"words": Bounds(least=least)}, image=images))
    kept = keep(page, record)
    assert (kept is None) == bool(record.entries[-1].reason)
    if kept:
        stays = [not entry.reason for entry in record.entries if entry.kind == "paragraph"]
        assert paragraphs_of(kept) == [text for text, stay in zip(paragraphs_of(page), stays, strict=True) if stay]
        stays = [not entry.reason for entry in record.entries if entry.kind == "image"]
        assert list(kept.media) == [media for media, stay in zip(page.media, stays, strict=True) if stay]


@settings(max_examples=60, deadline=None)
@given(blocks, image_rules, document_rules, image_rules, document_rules)
def test_what_other_bounds_would_do_is_what_they_do(drawn, images, documents, other_images, other_documents):
    page = document(*drawn)
    now = judge(page, Rules(document=documents, image=images))
    then = would_be(now, {"document": other_documents, "image": other_images})
    assert then == judge(page, Rules(document=other_documents, image=other_images))


def test_what_a_pass_dropped_stays_dropped_whatever_the_bounds():
    page = document(Text(text="words"), image(seed=1), image(60, 60))
    rules = Rules(image={"side": Bounds(least=64)})
    record = judge(page, rules)
    settle(record, {"duplicates": [Verdict(reason="same_text", other="l")]}, rules)
    then = would_be(record, {"image": {}, "document": {}})
    assert fates(then)[1:] == [("image", 0, ""), ("image", 1, ""), ("document", -1, "same_text")]
    assert count_reasons(then)["image", "kept, but not its document"] == 2


def test_a_rule_is_read_from_words():
    rule = parse_rule("image.aspect.most=2.5")
    assert with_rule({"side": Bounds(least=64), "aspect": Bounds(least=1, most=3)}, rule) == {
        "side": Bounds(least=64),
        "aspect": Bounds(least=1, most=2.5),
    }
    lifted = parse_rule("document.words.least=null")
    assert with_rule({"words": Bounds(least=5, most=9)}, lifted) == {"words": Bounds(most=9)}
    for said in ("image.aspect.most", "aspect.most=2", "page.words.least=2", "image.aspect.over=2", "image.most=2"):
        with pytest.raises(ValueError, match="write document, paragraph or image, a measure"):
            parse_rule(said)
