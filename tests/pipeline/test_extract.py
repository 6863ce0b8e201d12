"""A whole page: its text and its media in reading order, without what surrounds them, and what it says of itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.extract import extract
from pipeline.page import Block, ImageReference, Page, TextBlock, VideoReference

URL = "http://x.org/dir/page.html"
TITLE = "The museum is open again"
BEFORE = (
    "The museum opened its doors in the spring, after two years of work on the roof and the cellars, and the first "
    "visitors came on foot from the station, through the gardens that had been laid out again."
)
BETWEEN = (
    "The oldest of the halls, which had been closed for more than thirty years, shows the drawings that the founder "
    "of the museum brought home from his travels, and beside them the letters in which he wrote of them."
)
AFTER = (
    "In the evening the halls were lit with small lamps, so that the pictures could be seen without glare, and the "
    "director thanked everybody who had helped, from the carpenters to the volunteers at the door."
)
HALL = ImageReference(url="http://x.org/dir/hall.jpg", alt="The hall", attribute="src", width=640, height=480)
HALL_TAG = "<img src=hall.jpg alt=' The  hall ' width=640 height=480>"


def page(body: str, head: str = "") -> Page:
    """An article with `body` between two paragraphs."""
    article = f"<article><h1>{TITLE}</h1><p>{BEFORE}</p>{body}<p>{AFTER}</p></article>"
    return extract(f"<html lang=EN><head>{head}</head><body>{article}</body></html>".encode(), URL)


def without_paths(found: Page) -> tuple[Block, ...]:
    return tuple(replace(block, path="") for block in found.blocks)


def shown(body: str) -> tuple[Block, ...]:
    """The blocks of an article with `body`, of which the first begins and the last ends with a paragraph of its own."""
    return without_paths(page(body))


@pytest.mark.parametrize("body", ["{0}<p>{1}</p>", "<p>{0}{1}</p>", "<div><p>{0}</p></div><div>{1}</div>"])
def test_an_image_stands_between_the_texts_it_stands_between(body):
    assert shown(body.format(HALL_TAG, BETWEEN)) == (
        TextBlock(text=f"{TITLE}\n\n{BEFORE}"),
        HALL,
        TextBlock(text=f"{BETWEEN}\n\n{AFTER}"),
    )


def test_text_without_media_is_one_block():
    body = f"<p>{BETWEEN}<br>One <b>bold</b> wo<i>rd</i>.</p><blockquote><p>{BETWEEN} So he said.</p></blockquote>"
    text = f"{BEFORE}\n\n{BETWEEN}\nOne bold word.\n\n{BETWEEN} So he said.\n\n{AFTER}"
    assert shown(body) == (TextBlock(text=f"{TITLE}\n\n{text}"),)


def test_what_surrounds_the_content_is_left_out():
    menu = "".join(f"<li><a href=/{word}>{word}</a></li>" for word in ("Home", "News", "Visit", "Shop", "About"))
    stories = "".join(f"<li><a href=/story-{n}>Another story of the week, number {n}</a></li>" for n in range(6))
    html = (
        f"<body><header><nav class=menu><ul>{menu}</ul></nav></header><div class=layout>"
        f"<article class=post><h1>{TITLE}</h1><p>{BEFORE}</p>{HALL_TAG}<p>{BETWEEN}</p><p>{AFTER}</p></article>"
        f"<aside class=sidebar><h3>Related</h3><ul>{stories}</ul></aside></div>"
        "<div class=cookie-banner><p>We use cookies.</p><button>Accept</button></div>"
        "<footer class=site-footer><p>© The paper</p><ul><li><a href=/terms>Terms</a></li></ul></footer></body>"
    )
    assert without_paths(extract(html.encode(), URL)) == (
        TextBlock(text=f"{TITLE}\n\n{BEFORE}"),
        HALL,
        TextBlock(text=f"{BETWEEN}\n\n{AFTER}"),
    )


@pytest.mark.parametrize(
    "hidden",
    [
        f"<p hidden>{BETWEEN}</p>",
        f"<div style='color:red; display : none'><p>{BETWEEN}</p></div>",
        f"<script>var words = '{BETWEEN}'</script>",
        f"<template><p>{BETWEEN}</p></template>",
        f"<select><option>{BETWEEN}</option></select>",
        f"<!-- <p>{BETWEEN}</p> -->",
    ],
)
def test_what_is_never_shown_is_left_out(hidden):
    assert shown(hidden) == (TextBlock(text=f"{TITLE}\n\n{BEFORE}\n\n{AFTER}"),)


def test_a_caption_stays_beside_its_image_and_is_marked():
    caption = "The great hall of the museum on the day of its opening"
    assert shown(f"<figure>{HALL_TAG}<figcaption>{caption}</figcaption></figure><p>{BETWEEN}</p>") == (
        TextBlock(text=f"{TITLE}\n\n{BEFORE}"),
        HALL,
        TextBlock(text=caption, caption=True),
        TextBlock(text=f"{BETWEEN}\n\n{AFTER}"),
    )


def test_a_video_is_a_block_of_its_own_kind():
    video = VideoReference(
        kind="player", url="https://www.youtube.com/embed/abc", attribute="src", title="A film", width=560, height=315
    )
    tag = f"<iframe src='{video.url}' title='A film' width=560 height=315></iframe>"
    assert video in shown(f"<figure>{tag}</figure><p>{BETWEEN}</p>")


def test_a_page_says_what_it_is():
    found = page(
        "<a href=one#x>1</a><nav><a href='/two'>2</a></nav><a rel=license href=/by>CC</a>" + HALL_TAG,
        "<base href='http://y.org/b/'><title> A  title </title><link rel=canonical href=/canonical>"
        "<meta property=article:published_time content=2024-05-01><meta name=robots content='noai, nofollow'>",
    )
    assert (found.url, found.base, found.links) == (URL, "http://y.org/b/", ("one#x", "/two", "/by"))
    assert (found.title, found.language, found.directives) == ("A title", "en", {"noai"})
    assert (found.canonical, found.licence) == ("http://y.org/canonical", "http://y.org/by")
    assert found.published == "2024-05-01"
    assert "http://y.org/b/hall.jpg" in [block.url for block in found.blocks if isinstance(block, ImageReference)]


def test_the_licence_that_json_ld_gives_a_picture_is_kept():
    script = '{"@type": "ImageObject", "contentUrl": "http://x.org/dir/hall.jpg", "license": "https://cc.org/by"}'
    found = page(HALL_TAG + f"<p>{BETWEEN}</p>", f"<script type='application/ld+json'>{script}</script>")
    assert replace(HALL, licence="https://cc.org/by") in without_paths(found)


@pytest.mark.parametrize(
    ("data", "content_type", "encoding", "reason"),
    [
        ("<p>über</p>".encode("utf-8-sig"), None, "utf-8", "bom"),
        ("<p>über</p>".encode("utf-16"), None, "utf-16le", "bom"),
        ("<p>über</p>".encode("latin-1"), "text/html; charset=ISO-8859-1", "windows-1252", "content-type"),
        ("<meta charset=windows-1252><p>über</p>".encode("cp1252"), None, "windows-1252", "meta"),
        ("<p>über</p>".encode(), "text/html; charset=utf-8", "utf-8", "content-type"),
        ("<p>über</p>".encode(), None, "utf-8", "utf-8"),
    ],
)
def test_the_encoding_is_found_and_recorded(data, content_type, encoding, reason):
    found = extract(data, URL, content_type)
    assert [block.text for block in found.blocks if isinstance(block, TextBlock)] == ["über"]
    assert (found.encoding, found.encoding_reason) == (encoding, reason)


def test_real_recipe_keeps_its_photograph_between_title_and_text(material):
    path: Path = material / "sites" / "based-cooking" / "pan-pizza.html"
    title, photograph, text, *_ = without_paths(extract(path.read_bytes(), "http://b.org/pan-pizza.html"))
    assert title == TextBlock(text="Pan pizza")
    assert isinstance(photograph, ImageReference)
    assert (photograph.url, photograph.alt) == ("http://b.org/pix/pan-pizza.webp", "Pan pizza")
    assert isinstance(text, TextBlock)
    assert text.text.startswith("Pan pizza gives a thick and crispy crust")
