"""Bytes that are no good page: nothing raises, and what comes out is well-formed."""

import dataclasses
import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.extract import extract
from pipeline.extraction.encodings import MOST_BYTES
from pipeline.page import ImageReference, Page, TextBlock, VideoReference

URL = "http://x.org/dir/page.html"
LONGEST = 60_000
"""Bytes of the pages that are mutated; longer ones take too long in number."""
PATH = re.compile(r"(/[^/]+\[[1-9]\d*\])+")
TEXT = "In the evening the halls were lit with small lamps, so that the pictures could be seen without any glare."
RUBBISH = (
    b"\0", b"\0" * 5_000, b"<", b"<" * 1_000, b"<div>" * 3_000, b"</div>" * 300, b"<b>" * 300, b"<!--", b"-->",
    b"<![CDATA[", b"<?xml", b"<script>", b"</script>", b"<style>", b"<svg>", b"<template>", b"<table><tr><td>", b"<li>",
    b"</table>", b"<video>", b"<figure><figcaption>", b"<img src='data:image/png;base64,", b"<img srcset='a 1w, b 2w",
    b"<a href='http://[a.jpg'>", b"<picture><source srcset=", b"<base href='javascript:x'>", b"<pre>", b"<p hidden>",
    b"&#x110000;&#xd800;&#0;&nosuch", b"\xed\xa0\x80", b"\xff\xfe", b"\xef\xbf\xbf", b"\x01\x1f\x7f", b"<o:p>", b"'",
    b'"', b"<x\"y z'/=>", b" style=\"background:url('", b"</body></html>", b"<body>", b"<frameset>", b"<noscript>",
    b"<iframe src=//youtu.be/a>", b"<script type=application/ld+json>[[[{\"license\":", b"<select><option>", b"<br>",
    b"<source>" * 50, b"<input value='", b"<plaintext>", b"\xe2\x80\xa8\xc2\x85", b"<math><mi>",
)  # fmt: skip


def assert_well_formed(page: Page) -> None:
    for block in page.blocks:
        assert PATH.fullmatch(block.path)
        fields = dataclasses.asdict(block)
        written = json.dumps(fields, ensure_ascii=False).encode()
        assert json.loads(written) == {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
        if isinstance(block, TextBlock):
            assert block.text.strip()
            assert "\0" not in block.text
            continue
        assert isinstance(block, ImageReference | VideoReference)
        addresses = (block.url, *block.alternatives)
        assert all(address.startswith(("http://", "https://", "data:image/")) for address in addresses)
        assert len(set(addresses)) == len(addresses)
        assert min(block.width, block.height) >= 0
    about = (page.title, page.language, page.canonical, page.published, page.licence, page.base, *page.directives)
    assert "\0" not in "".join(about).encode().decode()
    assert all(count > 0 for count in page.left_out.values())


def real_pages(material: Path) -> list[bytes]:
    """All real pages that are not too long."""
    paths = [path for path in sorted((material / "pages").rglob("*")) if ".html" in path.suffixes]
    pages = [gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in paths]
    return [page for page in pages if 500 < len(page) < LONGEST]


def span(page: bytes, choice: random.Random) -> tuple[int, int]:
    start = choice.randrange(len(page))
    return start, min(len(page), start + choice.randrange(1, 3_000))


def cut_short(page: bytes, choice: random.Random, other: bytes) -> bytes:
    return page[: choice.randrange(len(page))]


def flip_bytes(page: bytes, choice: random.Random, other: bytes) -> bytes:
    changed = bytearray(page)
    for _ in range(choice.randrange(1, 200)):
        changed[choice.randrange(len(changed))] = choice.randrange(256)
    return bytes(changed)


def delete_span(page: bytes, choice: random.Random, other: bytes) -> bytes:
    start, end = span(page, choice)
    return page[:start] + page[end:]


def double_span(page: bytes, choice: random.Random, other: bytes) -> bytes:
    start, end = span(page, choice)
    return page[:end] + page[start:end] * choice.randrange(1, 5) + page[end:]


def splice(page: bytes, choice: random.Random, other: bytes) -> bytes:
    start, end = span(other, choice)
    place = choice.randrange(len(page))
    return page[:place] + other[start:end] + page[place:]


def swap_tags(page: bytes, choice: random.Random, other: bytes) -> bytes:
    tags = list(re.finditer(rb"<[^<>]*>", page))
    if len(tags) < 2:
        return page
    first, second = sorted(choice.sample(tags, 2), key=re.Match.start)
    between = page[first.end() : second.start()]
    return page[: first.start()] + second[0] + between + first[0] + page[second.end() :]


def insert_rubbish(page: bytes, choice: random.Random, other: bytes) -> bytes:
    place = choice.randrange(len(page))
    return page[:place] + choice.choice(RUBBISH) + page[place:]


MUTATIONS: tuple[Callable[[bytes, random.Random, bytes], bytes], ...] = (
    cut_short, flip_bytes, delete_span, double_span, splice, swap_tags, insert_rubbish, insert_rubbish,
)  # fmt: skip


def mutated(pages: list[bytes], choice: random.Random) -> bytes:
    page, other = choice.choice(pages), choice.choice(pages)
    for mutate in choice.choices(MUTATIONS, k=choice.randrange(1, 6)):
        page = mutate(page, choice, other) or page
    return page


@pytest.mark.parametrize(
    "count", [150, pytest.param(5_000, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])], ids=str
)
def test_mutated_real_pages_never_raise_and_blocks_are_well_formed(material, count):
    pages, choice = real_pages(material), random.Random(20261121)
    for _ in range(count):
        assert_well_formed(extract(mutated(pages, choice), URL, backgrounds=choice.random() < 0.5))


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_between_paragraphs_never_raises(rubbish):
    assert_well_formed(extract(rubbish, URL))
    paragraph = f"<p>{TEXT}</p>".encode()
    assert_well_formed(extract(paragraph + rubbish + paragraph * 2, URL, backgrounds=True))
    assert_well_formed(extract(b"<nav>a</nav>" + rubbish + paragraph + b"<footer>b</footer>" + rubbish, URL))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        b"\0",
        b"\0" * 1_000,
        b"<",
        b"</",
        b"<!DOCTYPE html>",
        b"<html></html>",
        b"\xff" * 100,
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3",
        b"\x1f\x8b\x08\x00\x00",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01" + bytes(range(256)) * 8,
        b"<?xml version='1.0'?><a/>",
        b"<?xml version='1.0'?><rss><channel><item><title>A &amp; b</title></item></channel></rss>",
        b"<script>document.write('<p>no</p>')</script>",
        b"<script>never closed <p>no</p>",
        b"<style>p { color: red }</style><svg><text>no</text></svg><template><p>no</p></template>",
        b"<!-- never closed <p>no</p>",
        b"<p hidden>no</p><select><option>no</option></select>",
        b"<nav><a href=/>yes</a></nav><footer></footer>",
        b"<img><img src=a width=1 height=1><video><audio><iframe></iframe>",
        b"<frameset><frame src=a><frame src=b></frameset>",
        b"<a href='http://['>a</a><img src='http://['><base href='http://['>",
        b"<p>" * 10_000,
        b"<td><tr><table><li><ul></td></p></br></img>",
        "<p>\ud800 lone \udfff</p>".encode("utf-8", "surrogatepass"),
        "<p>\ud83d</p>".encode("utf-16-le", "surrogatepass"),
        b"<p>\x01</p>",
        b"<p>\x7f</p>",
        b"\x01\x02\x03<p>\x01</p><p>\x0b</p>",
    ],
)
def test_no_bytes_raise(data):
    for page in (extract(data, URL), extract(data, "not an address", "text/html; charset=nonsense")):
        assert_well_formed(page)
        assert not any(re.search(r"\bno\b", block.text) for block in page.blocks if isinstance(block, TextBlock))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_plain_text_is_text_in_any_unicode(encoding):
    page = extract(TEXT.encode(encoding), URL, "text/plain")
    assert [block.text for block in page.blocks if isinstance(block, TextBlock)] == [TEXT]


def test_a_nul_does_not_end_the_page():
    html = f"<p>{TEXT}</p>\0<p>be\0tween</p><p>{TEXT} again</p>"
    (block,) = extract(html.encode(), URL).blocks
    assert isinstance(block, TextBlock)
    assert block.text == f"{TEXT}\n\nbe tween\n\n{TEXT} again"


@pytest.mark.parametrize("control", ["\x01", "\x0b", "\x1f", "\x7f", "&#1;", "\ufffe"])
def test_control_characters_part_words_and_nothing_else(control):
    (block,) = extract(f"<p>{TEXT} one{control}two {TEXT}</p>".encode(), URL).blocks
    assert isinstance(block, TextBlock)
    assert re.fullmatch(r"one\W*two", block.text.removeprefix(TEXT).removesuffix(TEXT).strip())
    assert "&" not in block.text


@pytest.mark.parametrize(("tag", "depth"), [("div", 2_000), ("div", 100_000), ("p", 100_000), ("h1", 100_000)])
def test_content_nested_beyond_libxml2_is_kept(tag, depth):
    nested = f"<{tag}>" * depth + f"<p>{TEXT}</p>" + f"</{tag}>" * depth
    html = f"<body><script>var no = 1</script><p>Before. {TEXT}</p>{nested}<p>After. {TEXT}</p></body>"
    page = extract(html.encode(), URL)
    assert_well_formed(page)
    text = "\n".join(block.text for block in page.blocks if isinstance(block, TextBlock))
    assert text.count(TEXT) == 3
    assert text.index("Before.") < text.index("After.")
    assert "var no" not in text


@pytest.mark.parametrize("tag", ["ul><li", "table><tr><td", "span", "a href=x", "video", "figure", "svg", "o:p", "pre"])
def test_any_element_may_be_nested_without_end(tag):
    assert_well_formed(extract(f"<p>{TEXT}</p>{f'<{tag}>a' * 100_000}<p>{TEXT}</p>".encode(), URL))


def test_a_page_of_50_megabytes_is_cut_with_a_reason():
    # Numbered, for what a page repeats is no content.
    html = "".join(f"<p>{number} {TEXT * 100}</p>" for number in range(50_000_000 // len(TEXT * 100))).encode()
    page = extract(html, URL)
    assert page.left_out == {"page_cut": 1}
    assert 0.9 * MOST_BYTES < sum(len(block.text) for block in page.blocks if isinstance(block, TextBlock)) < MOST_BYTES
    assert extract(html[:MOST_BYTES], URL).left_out == {}
