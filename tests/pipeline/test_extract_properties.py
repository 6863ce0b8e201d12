"""What must hold of every page: it reads the same twice, a wrapper changes nothing, and its blocks are its text."""

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract import extract
from pipeline.extraction.encodings import decode
from pipeline.extraction.segments import HIDDEN, NEVER_SHOWN
from pipeline.extraction.vocabulary import BLOCKS, MEDIA
from pipeline.page import Block, TextBlock

ROOT = Path(__file__).parents[2]
URL = "http://x.org/dir/page.html"
NOT_LETTERS = re.compile(r"[\s|\-\x00-\x1f\x7f]+")
"""White space, what marks items and parts cells, and control characters."""
WORDS = "bread flour water the a and of in oven crust is salt, an hour. cloth, rests baked hot It for".split()


def read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def real_pages(material: Path) -> Iterator[tuple[str, bytes]]:
    """All pages of readability, of the article benchmark and with odd encodings, and every twelfth of wcxb."""
    pages = material / "pages"
    paths = [*sorted(pages.glob("readability/*/source.html")), *sorted(pages.glob("aeb/*.gz"))]
    paths += [*sorted(pages.glob("odd/*")), *sorted(pages.glob("trafilatura/*.html"))]
    paths += sorted(pages.glob("wcxb/*.gz"))[::12]
    for path in paths:
        yield str(path.relative_to(pages)), read(path)


def without_paths(html: bytes) -> list[Block]:
    return [replace(block, path="") for block in extract(html, URL).blocks]


def letters(text: str) -> str:
    return NOT_LETTERS.sub("", text)


def document(html: bytes) -> Any:
    """The page as lxml.html parses it, in the encoding that was found."""
    text = decode(html, None).text.replace("\0", " ")
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    return lxml.html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)


def is_shown(element: Any) -> bool:
    """By the rules that pipeline.extraction.segments states, asked of the elements of lxml.html themselves."""
    if not isinstance(element.tag, str):
        return False
    if element.tag in NEVER_SHOWN or (element.tag in MEDIA and element.tag != "embed") or element.tag == "head":
        return False
    if "hidden" in element.attrib or HIDDEN.search(element.get("style", "")):
        return False
    return element.get("aria-hidden") != "true" or element.tag in BLOCKS


def shown_text(html: bytes) -> str:
    """The letters of all elements that are shown."""
    root = document(html)
    for element in list(root.iter()):
        if element.getparent() is not None and not is_shown(element):
            element.drop_tree()
    return letters(root.text_content())


def test_every_block_of_a_real_page_is_in_the_text_of_the_page(material):
    missing = [
        (name, block.text)
        for name, html in real_pages(material)
        for shown in [shown_text(html)]
        for block in extract(html, URL).blocks
        if isinstance(block, TextBlock) and letters(block.text) not in shown
    ]
    assert missing == []


def test_the_path_of_every_block_leads_to_what_holds_it(material):
    for name, html in real_pages(material):
        tree = document(html).getroottree()
        for block in extract(html, URL).blocks:
            (element,) = tree.xpath(block.path)
            held = letters(element.text_content())
            words = re.findall(r"\w+", block.text) if isinstance(block, TextBlock) else []
            assert isinstance(block, TextBlock) or element.tag in (*MEDIA, "figure"), name
            assert all(word in held for word in words), (name, block.path)


def test_extraction_is_deterministic_in_one_process_and_across_processes(material, tmp_path):
    pages = [html for _, html in real_pages(material)][::10]
    assert [extract(html, URL) for html in pages] == [extract(html, URL) for html in pages]
    files = [tmp_path / f"{number}.html" for number in range(len(pages))]
    for file, html in zip(files, pages, strict=True):
        file.write_bytes(html)
    command = [sys.executable, "-m", "pipeline.extract", *map(str, files)]
    printed = {
        subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def wrapped(html: bytes) -> bytes:
    """The page with everything in its body in one more element."""
    opened = re.sub(rb"(<body\b[^>]*>)", rb"\1<div>", html, count=1, flags=re.IGNORECASE)
    return re.sub(rb"(</body\s*>)", rb"</div>\1", opened, flags=re.IGNORECASE)


def test_wrapping_the_body_of_a_real_page_changes_nothing_but_paths(material):
    for path in sorted((material / "pages" / "readability").glob("*/source.html")):
        html = path.read_bytes()
        assert wrapped(html) != html
        assert without_paths(wrapped(html)) == without_paths(html), path.parent.name


sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join)
parts = st.one_of(
    sentences.map("<p>{}</p>".format),
    sentences.map("<h2>{}</h2>".format),
    st.integers(0, 99).map("<p><img src=i{}.jpg alt=bread></p>".format),
    st.lists(sentences.map("<li><a href=/x>{}</a></li>".format), min_size=1, max_size=8).map(
        lambda items: f"<ul class=menu>{''.join(items)}</ul>"
    ),
    st.lists(sentences.map("<li>{}</li>".format), min_size=1, max_size=8).map(
        lambda items: f"<ul>{''.join(items)}</ul>"
    ),
    sentences.map("<table><tr><td>{}</td><td>one</td></tr></table>".format),
    sentences.map("<div class=footer>{}</div>".format),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(parts, min_size=1, max_size=5).map(lambda inner: f"<div>{''.join(inner)}</div>"), max_size=6))
def test_wrapping_the_body_of_a_made_page_changes_nothing_but_paths(sections):
    html = f"<html><head><title>Bread</title></head><body>{''.join(sections)}</body></html>".encode()
    assert without_paths(wrapped(html)) == without_paths(html)


@pytest.mark.parametrize("levels", [1, 5])
def test_wrapping_changes_paths_alone_by_the_wrapper(levels):
    body = f"<h1>Bread</h1><p>{' '.join(WORDS)}</p><img src=i.jpg><p>{' '.join(WORDS)}</p>"
    plain = extract(f"<body>{body}</body>".encode(), URL).blocks
    html = f"<body>{'<div>' * levels}{body}{'</div>' * levels}</body>"
    assert [block.path.replace("/div[1]", "") for block in extract(html.encode(), URL).blocks] == [
        block.path for block in plain
    ]
