"""A page and its pictures to a document: the order, the texts that become one, the facts, and every drop."""

import dataclasses

from pipeline.assemble import assemble, wanted_images
from pipeline.images import Picture
from pipeline.page import Block, ImageReference, Page, TextBlock, VideoReference
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
    tally = Tally()
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
    )
    images = {"http://x.org/a.jpg": PICTURE, "http://x.org/lost.jpg": "http_404"}
    document = assemble("http://x.org/asked", page(*blocks), images, tally)
    assert document is not None
    assert document.blocks == (
        Text(text="one\n\ntwo\n\nthree"),
        Media(kind="image", frames=(PICTURE.frame,), url="http://x.org/b.jpg", alt="alt", title="title"),
        Text(text="its caption", caption=True),
        Text(text="four\n\nfive"),
    )
    assert document.source == "http://x.org/page"
    assert dict(document.facts) == {"title": "A title", "language": "en", "published": "2024-05-06"}
    assert dict(tally.drops) == {"player_not_fetched": 1, "image_http_404": 1}
    assert dict(tally.counts) == {"images": 1}


def test_a_page_without_a_picture_is_dropped_by_name():
    tally = Tally()
    text, image = TextBlock(text="a few words"), ImageReference(url="http://x.org/a.jpg")
    assert wanted_images(page(text), 1, tally) == []
    assert wanted_images(page(text, image), 4, tally) == []
    assert wanted_images(dataclasses.replace(page(text, image), directives=frozenset(("noai",))), 1, tally) == []
    assert assemble("http://x.org/asked", page(text, image), {image.url: "timeout"}, tally) is None
    assert dict(tally.drops) == {
        "page_no_images": 1,
        "page_few_words": 1,
        "page_meta_noai": 1,
        "image_timeout": 1,
        "page_images_dropped": 1,
    }
