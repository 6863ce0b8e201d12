"""A page and its pictures to a document: the order, the texts that become one, the facts, and every drop."""

import dataclasses

from pipeline.assemble import assemble, judge_text, refusal, wanted_images
from pipeline.images import NoPicture, Picture
from pipeline.ledger import Record, count
from pipeline.page import Block, ImageReference, Page, TextBlock, VideoReference
from pipeline.rules.bounds import Bounds
from pipeline.rules.text import default_resources
from pipeline.text_rules import TextRules
from shards.chunk import Tally
from shards.document import Frame, Media, Text

PICTURE = Picture(url="http://x.org/b.jpg", frame=Frame(data=b"jpeg", format="jpg", width=80, height=70))


def page(*blocks: Block) -> Page:
    return Page(
        url="http://x.org/page",
        title="A title",
        language="en",
        blocks=blocks,
        base="http://x.org/page",
        links=(),
        directives=frozenset(),
        encoding="utf-8",
        encoding_reason="meta",
        published="2024-05-06",
    )


def test_texts_that_nothing_parts_are_one_and_captions_stay_apart():
    record, tally = Record("http://x.org/asked"), Tally()
    blocks = (
        TextBlock(text="one"),
        TextBlock(text="two"),
        VideoReference(kind="player", url="http://y.org/v"),
        TextBlock(text="three"),
        ImageReference(url="http://x.org/a.jpg", alt="alt", title="title"),
        TextBlock(text="its caption", caption=True),
        TextBlock(text="four"),
        ImageReference(url="http://x.org/lost.jpg"),
        TextBlock(text="five"),
        ImageReference(url="http://x.org/a.jpg"),
        ImageReference(url="http://x.org/one-too-many.jpg"),
    )
    images = {"http://x.org/a.jpg": PICTURE, "http://x.org/lost.jpg": NoPicture(reason="http_404")}
    document = assemble(page(*blocks), images, record, {"words": 5.0})
    assert document is not None
    assert document.blocks == (
        Text(text="one\n\ntwo\n\nthree"),
        Media(kind="image", frames=(PICTURE.frame,), url="http://x.org/b.jpg", alt="alt", title="title"),
        Text(text="its caption", caption=True),
        Text(text="four\n\nfive"),
    )
    assert document.source == "http://x.org/page"
    assert dict(document.measures) == {"words": 5.0}
    assert dict(document.facts) == {"title": "A title", "language": "en", "published": "2024-05-06"}
    count(record, tally)
    assert dict(tally.drops) == {
        "player_not_fetched": 1,
        "image_http_404": 1,
        "image_repeated": 1,
        "image_over_images_per_page": 1,
    }
    assert dict(tally.counts) == {"images": 1, "pages": 1}
    assert [entry.address for entry in record.entries if not entry.reason] == [
        "http://x.org/a.jpg",
        "http://x.org/asked",
    ]


def test_a_page_without_a_picture_is_refused_by_name():
    text, image = TextBlock(text="a few words"), ImageReference(url="http://x.org/a.jpg")
    assert refusal(page(text)) == "no_images"
    assert refusal(page(text, image)) == ""
    assert refusal(dataclasses.replace(page(text, image), directives=frozenset(("noai",)))) == "meta_noai"


def test_rules_drop_paragraphs_and_then_the_page_by_what_is_left_of_it():
    blocks = (
        TextBlock(text="Home\n\nfour words are here"),
        ImageReference(url="http://x.org/a.jpg"),
        TextBlock(text="Menu", caption=True),
    )
    for least, reason in ((4, ""), (5, "words_under")):
        record = Record("http://x.org/asked")
        rules = TextRules(document={"words": Bounds(least=least)}, paragraph={"words": Bounds(least=2)})
        left, own = judge_text(page(*blocks), record, rules, default_resources())
        assert left.blocks == (TextBlock(text="four words are here"), blocks[1])
        assert [(entry.number, entry.reason, entry.measure, entry.threshold) for entry in record.entries] == [
            (0, "words_under", 1, 2),
            (1, "", None, None),
            (2, "words_under", 1, 2),
        ]
        assert (own.reason, own.measures["words"], own.measures["mean_word_length"]) == (reason, 4, 4)


def test_without_rules_on_paragraphs_the_page_alone_is_measured():
    record, made = Record("http://x.org/asked"), page(TextBlock(text="Home\n\nfour words are here"))
    left, own = judge_text(made, record, TextRules(), default_resources())
    assert (left, record.entries, own.measures["words"]) == (made, [], 5)


def test_a_page_whose_pictures_did_not_come_is_dropped():
    record, tally = Record("http://x.org/asked"), Tally()
    image = ImageReference(url="http://x.org/a.jpg")
    assert (
        assemble(page(TextBlock(text="a few words"), image), {image.url: NoPicture(reason="timeout")}, record, {})
        is None
    )
    count(record, tally)
    assert dict(tally.drops) == {"image_timeout": 1, "page_images_dropped": 1}
    assert dict(tally.counts) == {"pages": 1}


def test_the_first_pictures_of_a_page_are_asked_for_each_once():
    images = [ImageReference(url=f"http://x.org/{n}.jpg", alt=str(place)) for place, n in enumerate((1, 0, 1, 2))]
    assert wanted_images(page(*images), 2) == images[:2]
