"""Text and images in reading order, from small pages whose answer is known and real ones that must not break it."""

import gzip
import random
import re
from pathlib import Path

import pytest

from pipeline.extract import ImageReference, Page, TextBlock, extract

URL = "http://x.org/dir/page.html"


BEFORE = (
    "The museum opened its doors in the spring, after two years of work on the roof and the cellars, and the first "
    "visitors came on foot from the station, through the gardens that had been laid out again."
)
AFTER = (
    "In the evening the halls were lit with small lamps, so that the pictures could be seen without glare, and the "
    "director thanked everybody who had helped, from the carpenters to the volunteers at the door."
)


def page(body: str, head: str = "") -> Page:
    """An article with `body` between two paragraphs."""
    article = f"<article><h1>The museum is open again</h1><p>{BEFORE}</p>{body}<p>{AFTER}</p></article>"
    return extract(f"<html lang=EN><head>{head}</head><body>{article}</body></html>".encode(), URL)


def shown(body: str, head: str = "") -> list[str]:
    """What stands between the paragraphs: text as it is, images in brackets, captions after a tilde."""
    blocks = [
        ("~" if block.caption else "") + block.text if isinstance(block, TextBlock) else f"[{block.url}]"
        for block in page(body, head).blocks
    ]
    inner = "\0".join(blocks).partition(BEFORE)[2].partition(AFTER)[0]
    return [block.strip() for block in inner.split("\0") if block.strip()]


def test_an_image_stands_between_the_texts_it_stands_between():
    assert shown("<p>One <b>two</b></p><p>three<img src=i.png alt=A title=T>four</p><div>five</div>") == [
        "One two\n\nthree",
        "[http://x.org/dir/i.png]",
        "four\n\nfive",
    ]
    image = ImageReference(url="http://x.org/dir/i.png", alt="A b", title="T")
    assert image in page("<img src=i.png alt=' A  b ' title=T>").blocks


def test_words_are_never_glued_nor_split():
    assert shown(
        "<p>a<br>b</p><ul><li>c</li><li>d</li></ul><table><tr><td>e</td><td>f</td></tr></table>x<i>y</i>z"
    ) == ["a\nb\n\nc\n\nd\n\ne\n\nf\n\nxyz"]


def test_what_surrounds_the_content_is_left_out():
    menu = "".join(f"<li><a href=/{word}>{word}</a></li>" for word in ("Home", "News", "Visit", "Shop", "About"))
    stories = "".join(f"<li><a href=/story-{n}>Another story of the week, number {n}</a></li>" for n in range(6))
    html = (
        f"<body><header><nav class=menu><ul>{menu}</ul></nav></header><div class=layout>"
        f"<article class=post><h1>The museum is open again</h1><p>{BEFORE}</p><img src=hall.jpg alt='The hall'>"
        f"<p>{AFTER}</p></article><aside class=sidebar><h3>Related</h3><ul>{stories}</ul></aside></div>"
        "<div class=cookie-banner><p>We use cookies.</p><button>Accept</button></div>"
        "<footer class=site-footer><p>© The paper</p><ul><li><a href=/terms>Terms</a></li></ul></footer></body>"
    )
    assert extract(html.encode(), URL).blocks == (
        TextBlock(text=f"The museum is open again\n\n{BEFORE}"),
        ImageReference(url="http://x.org/dir/hall.jpg", alt="The hall"),
        TextBlock(text=AFTER),
    )


def test_what_is_never_shown_is_left_out():
    assert shown("<p hidden>no</p><p style='display: none'>no</p><script>no</script><!-- no --><p>kept</p>") == ["kept"]


def test_text_after_a_skipped_element_is_kept():
    assert shown("<p>a <script>b</script> c</p>") == ["a c"]


def test_a_caption_stays_beside_its_image_and_is_marked():
    assert shown("<p>a</p><figure><img src=i.png><figcaption>cap</figcaption></figure><p>b</p>") == [
        "a",
        "[http://x.org/dir/i.png]",
        "~cap",
        "b",
    ]


@pytest.mark.parametrize(
    ("tag", "urls"),
    [
        ("<img src=/root.png>", ["http://x.org/root.png"]),
        ("<img src=//cdn.org/a.png>", ["http://cdn.org/a.png"]),
        ("<img srcset='s.png 100w, l.png 900w' src=f.png>", ["dir/l.png", "dir/s.png", "dir/f.png"]),
        ("<img srcset='a.png, b.png 2x'>", ["dir/b.png", "dir/a.png"]),
        ("<img src='data:image/gif;base64,R0lGOD' data-src=real.png>", ["dir/real.png"]),
        ("<img src=spacer.gif data-lazy-src=real.png>", ["dir/real.png"]),
        ("<picture><source srcset='p.webp 2x'><img src=p.png></picture>", ["dir/p.webp", "dir/p.png"]),
        ("<noscript><img src=n.png></noscript>", ["dir/n.png"]),
        ("<img src='javascript:x'>", []),
        ("<img alt=none>", []),
    ],
)
def test_every_way_to_name_an_image(tag, urls):
    found = [block for block in page(tag).blocks if isinstance(block, ImageReference)]
    named = [url for image in found for url in (image.url, *image.alternatives)]
    assert named == [url if "://" in url else f"http://x.org/{url}" for url in urls]


def test_base_and_title_and_links():
    found = page(
        "<a href=one#x>1</a><nav><a href='/two'>2</a></nav><a href='mailto:a@b'>m</a><a href=one>again</a><img src=i>",
        "<base href='http://y.org/b/'><title> A  title </title>",
    )
    assert (found.base, found.links) == ("http://y.org/b/", ("one#x", "/two", "mailto:a@b", "one"))
    assert (found.title, found.language) == ("A title", "en")
    assert ImageReference(url="http://y.org/b/i") in found.blocks


def test_one_picture_named_twice_is_one_block():
    assert shown("<img src=i.png><p>a</p><img src=i.png><p>b</p>") == ["[http://x.org/dir/i.png]", "a\n\nb"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [("noindex, follow", {"noindex"}), ("NOAI", {"noai"}), ("none", {"noindex"}), ("nofollow", set())],
)
def test_directives_are_read(content, expected):
    assert page("", f"<meta name=Robots content='{content}'>").directives == expected


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("<p>über</p>".encode("utf-8-sig"), None),
        ("<p>über</p>".encode("utf-16"), None),
        ("<p>über</p>".encode("latin-1"), "text/html; charset=ISO-8859-1"),
        ("<meta charset=windows-1252><p>über</p>".encode("cp1252"), None),
        ("<p>über</p>".encode(), "text/html; charset=utf-8"),
    ],
)
def test_encodings(data, content_type):
    assert extract(data, URL, content_type).blocks == (TextBlock(text="über"),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"<",
        b"\xff" * 100,
        b"%PDF-1.4",
        b"<?xml version='1.0'?><a/>",
        b"<p>" * 10_000,
        b"<a href='http://['>",
    ],
)
def test_no_bytes_raise(data):
    pages = extract(data, URL), extract(data, "not an address", "text/html; charset=nonsense")
    assert all(isinstance(block, TextBlock) and block.text for page in pages for block in page.blocks)


@pytest.mark.parametrize(("tag", "depth"), [("div", 2_000), ("div", 100_000), ("p", 100_000), ("h1", 100_000)])
def test_content_nested_beyond_libxml2_is_kept(tag, depth):
    nested = f"<{tag}>" * depth + f"<p>{AFTER}</p>" + f"</{tag}>" * depth
    html = f"<body><script>var no = 1</script><p>{BEFORE}</p>{nested}<p>The end, and the last word of it.</p></body>"
    text = "\n".join(block.text for block in extract(html.encode(), URL).blocks if isinstance(block, TextBlock))
    assert BEFORE in text
    assert AFTER in text
    assert "The end" in text
    assert "var no" not in text


def test_mutated_real_pages_never_raise_and_blocks_are_well_formed(material):
    pages = [path.read_bytes() for path in sorted((material / "pages" / "readability").glob("*/source.html"))[:20]]
    pages += [gzip.decompress(path.read_bytes()) for path in sorted((material / "pages" / "aeb").glob("*.gz"))[:5]]
    choice = random.Random(20261121)
    for _ in range(150):
        blocks = extract(_mutated(choice.choice(pages), choice), URL).blocks
        assert all(block.text.strip() if isinstance(block, TextBlock) else block.url for block in blocks)


def _mutated(data: bytes, choice: random.Random) -> bytes:
    changed = bytearray(data[choice.randrange(len(data) // 2) : choice.randrange(len(data) // 2, len(data))])
    for _ in range(choice.randrange(1, 200)):
        changed[choice.randrange(len(changed))] = choice.randrange(256)
    return bytes(changed)


def test_wrapping_the_body_changes_nothing(material):
    pages = sorted((material / "pages" / "readability").glob("*/source.html"))[::6]
    for path in pages:
        html = path.read_bytes()
        opened = re.sub(rb"(<body[^>]*>)", rb"\1<div><div>", html, count=1)
        wrapped = re.sub(rb"(</body>)", rb"</div></div>\1", opened)
        assert opened != html
        assert extract(wrapped, URL).blocks == extract(html, URL).blocks, path.parent.name


def test_real_recipe_keeps_its_photograph_between_title_and_text(material):
    path: Path = material / "sites" / "based-cooking" / "pan-pizza.html"
    blocks = extract(path.read_bytes(), "http://b.org/pan-pizza.html").blocks
    assert blocks[0] == TextBlock(text="Pan pizza")
    assert blocks[1] == ImageReference(url="http://b.org/pix/pan-pizza.webp", alt="Pan pizza")
    assert isinstance(blocks[2], TextBlock)
    assert blocks[2].text.startswith("Pan pizza gives a thick and crispy crust")
