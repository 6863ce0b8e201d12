"""From chosen segments to blocks: text as a person would write it down, captions beside their media, and places.

The choice is given by hand, so that none of this depends on the content model.
"""

import re
from collections import Counter

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.blocks import blocks_of
from pipeline.extraction.containers import containers_of
from pipeline.extraction.markup import parse
from pipeline.extraction.segments import cut
from pipeline.page import Block, TextBlock

BASE = "http://x.org/dir/"


def blocks(body: str, *, without: tuple[str, ...] = ()) -> tuple[tuple[Block, ...], Counter[str]]:
    """The blocks of a page of which everything is kept but the texts `without`."""
    html = f"<html><body>{body}</body></html>"
    segments, _ = cut(html, parse(html))
    keep = [text not in without for text in segments.texts]
    return blocks_of(segments, containers_of(segments), keep, BASE, {})


def written(body: str, *, without: tuple[str, ...] = ()) -> list[str]:
    """The blocks as lines: text as it is, captions after a tilde, media as their address in brackets."""
    return [
        ("~" if block.caption else "") + block.text
        if isinstance(block, TextBlock)
        else f"[{block.url.removeprefix(BASE)}]"
        for block in blocks(body, without=without)[0]
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>One <b>two</b></p><p>three</p><div>four</div>five", "One two\n\nthree\n\nfour\n\nfive"),
        ("<h2>Title</h2><p>a<br>b<br><br>c</p>", "Title\n\na\nb\nc"),
        ("<blockquote><p>a</p><p>b</p></blockquote>c", "a\n\nb\n\nc"),
        ("<b>un</b><i>broken</i><x-a>one</x-a><x-b>two</x-b>", "unbroken one two"),
    ],
)
def test_paragraphs_are_parted_by_an_empty_line(body, expected):
    assert written(body) == [expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a<ul><li>b</li><li>c</li></ul>d", "a\n\n- b\n- c\n\nd"),
        ("<ol><li><p>a</p><p>b</p></li><li><b>c</b></li></ol>", "- a\nb\n- c"),
        ("<ul><li>a<ul><li>b</li><li>c</li></ul></li><li>d</li></ul>", "- a\n- b\n- c\n- d"),
        ("<ul><li><ul><li>a</li></ul></li></ul>", "- a"),
        ("<ul><li>a</li></ul><ul><li>b</li></ul>", "- a\n\n- b"),
        ("<dl><dt>term</dt><dd>what it is</dd><dt>other</dt><dd>that</dd></dl>", "term\n- what it is\nother\n- that"),
        ("<ul><li><img>a</li><li><div>b</div></li></ul>", "- a\n- b"),
        ("<ul>loose<li>a</li></ul>", "loose\n\n- a"),
        ("<li>without a list</li><li>two</li>", "- without a list\n- two"),
    ],
)
def test_list_items_are_marked_and_stand_on_lines(body, expected):
    assert written(body) == [expected]


def test_an_item_is_marked_once_even_if_a_picture_stands_in_it():
    assert written("<ul><li>a<img src=i.png>b</li><li><img src=j.png>c</li></ul>") == [
        "- a",
        "[i.png]",
        "b",
        "[j.png]",
        "- c",
    ]


def test_an_item_is_marked_at_the_first_of_its_texts_that_is_kept():
    assert written("<ul><li><p>no</p><p>a</p><p>b</p></li></ul>", without=("no",)) == ["- a\nb"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<table><tr><th>a</th><th>b</th></tr><tr><td>c<td>d</table>", "a | b\nc | d"),
        ("x<table><tr><td>a</td><td></td><td>b</td></tr></table>y", "x\n\na | b\n\ny"),
        ("<table><tr><td>a</td><td><img>b</td></tr></table>", "a | b"),
        ("<table><tr><td><p>a</p><p>b</p></td><td>c</td></tr></table>", "a\nb | c"),
        ("<table><caption>t</caption><tbody><tr><td>a</td></tr></tbody></table>", "t\n\na"),
        ("<table><tr><td>a</td><td><table><tr><td>b</td><td>c</td></tr></table></td></tr></table>", "a\n\nb | c"),
        ("<table><tr><td><ul><li>a</li><li>b</li></ul></td><td>c</td></tr></table>", "- a\n- b | c"),
    ],
)
def test_cells_are_parted_and_rows_stand_on_lines(body, expected):
    assert written(body) == [expected]


def test_a_cell_of_which_the_beginning_is_left_out_is_a_cell_still():
    body = "<table><tr><td>a</td><td><img src=i.png><p>b</p></td></tr></table>"
    assert written(body) == ["a", "[i.png]", "b"]
    assert written(body.replace("src=i.png", "")) == ["a | b"]


@pytest.mark.parametrize("inner", ["{}", "<code>{}</code>", "<code><span class=k>{}</span></code>"])
def test_code_keeps_its_lines_and_their_beginnings(inner):
    code = "def f():\n    return 1 &lt; 2\n\nf()"
    assert written(f"<p>So:</p><pre>{inner.format(code)}</pre>") == ["So:\n\ndef f():\n    return 1 < 2\n\nf()"]


def test_a_block_ends_where_text_was_left_out_and_not_where_a_medium_was():
    assert written("<p>a</p><p>ad</p><p>b</p><img><p>c</p>", without=("ad",)) == ["a", "b\n\nc"]
    assert written("<p>a</p><p>ad</p><img src=i.png><p>ad</p><p>b</p>", without=("ad",)) == ["a", "[i.png]", "b"]


def test_media_that_are_not_kept_or_repeated_are_counted():
    body = "<img src=i.png>a<img src=i.png>b<img><video src=v.mp4></video><iframe src=http://ads.org/></iframe>"
    found, left_out = blocks(body)
    assert [block.text for block in found if isinstance(block, TextBlock)] == ["a\n\nb"]
    assert left_out == {"repeated": 1, "no_address": 1, "no_player": 1}


@pytest.mark.parametrize(
    "body",
    [
        "<video src=v.mp4></video><video src=v.mp4></video>",
        "<a href=large.jpg><img src=little.jpg></a><img src=large.jpg>",
        "<img src=large.jpg><a href=large.jpg><img src=little.jpg></a>",
    ],
    ids=["a video", "the target of its link", "a link to it"],
)
def test_a_medium_named_again_by_an_address_that_it_has_is_repeated(body):
    found, left_out = blocks(body)
    assert (len(found), left_out) == (1, {"repeated": 1})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<figure><img src=i.png><figcaption>cap</figcaption></figure>b", ["[i.png]", "~cap", "b"]),
        ("a<figure><figcaption>cap</figcaption><img src=i.png></figure>", ["a", "~cap", "[i.png]"]),
        ("<img src=i.png><p class='wp-caption-text'>cap</p><p>b</p>", ["[i.png]", "~cap", "b"]),
        ("<img src=i.png><p id=caption-1>cap</p>", ["[i.png]", "~cap"]),
        ("<img src=i.png><figcaption><p>one</p><p>two</p></figcaption>b", ["[i.png]", "~one\n\ntwo", "b"]),
        ("<video src=v.mp4></video><figcaption>cap</figcaption>", ["[v.mp4]", "~cap"]),
        ("<img src=i.png><p>b</p><figcaption>far</figcaption>", ["[i.png]", "b\n\nfar"]),
        ("<figure><pre>code</pre><figcaption>listing</figcaption></figure>", ["code\n\nlisting"]),
        ("<img src=i.png><p data-x=caption>b</p>", ["[i.png]", "b"]),
    ],
)
def test_a_caption_stays_beside_its_medium_and_is_marked(body, expected):
    assert written(body) == expected


def test_captions_of_two_figures_are_two_blocks():
    body = "<figure><img src=i.png><figcaption>of i</figcaption></figure>"
    body += "<figure><figcaption>of j</figcaption><img src=j.png></figure>"
    assert written(body) == ["[i.png]", "~of i", "~of j", "[j.png]"]


def test_no_caption_without_its_picture():
    assert written("<figure><img><figcaption>cap</figcaption></figure>b") == ["cap\n\nb"]


def test_alt_and_title_are_not_in_the_text():
    found, _ = blocks("<img src=i.png alt='An alt' title='A title'><video src=v.mp4 title=clip>none</video>text")
    assert [block.text for block in found if isinstance(block, TextBlock)] == ["text"]


WORDS = (f"w{number}." for number in range(10**9))
LEAVES = st.sampled_from(["w", "w", "<br>", "<img src=i>", "<hr>", "&amp;", "<!-- c -->"])
ELEMENTS = "div p span b li ul ol table tr td figure figcaption pre dl dd dt a section h2 blockquote x-y".split()
TREES = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(ELEMENTS), st.lists(inner, max_size=4)), max_leaves=40
)


def html_of(tree: object, words: Counter[str]) -> str:
    """The tree written as HTML, its words and pictures numbered so that each occurs once."""
    if isinstance(tree, str):
        words[tree] += 1
        return tree.replace("w", f" word{words[tree]} ").replace("=i", f"=i{words[tree]}.png")
    name, inner = tree  # pyright: ignore[reportGeneralTypeIssues]
    return f"<{name}>{''.join(html_of(child, words) for child in inner)}</{name}>"


@given(TREES)
def test_text_is_never_lost_doubled_glued_or_reordered(tree):
    words = Counter[str]()
    lines = written(html_of(tree, words))
    assert re.findall(r"word\d+|i\d+\.png", " ".join(lines)) == re.findall(
        r"word\d+|i\d+\.png", html_of(tree, Counter[str]())
    )
    assert all(line.strip() for line in lines)


@given(TREES)
def test_a_path_leads_to_an_element_that_holds_the_block(tree):
    html = f"<html><body>{html_of(tree, Counter[str]())}</body></html>"
    root = lxml.html.document_fromstring(html).getroottree()
    segments, _ = cut(html, parse(html))
    for block in blocks_of(segments, containers_of(segments), [True] * len(segments), BASE, {})[0]:
        (element,) = root.xpath(block.path)
        if isinstance(block, TextBlock):
            assert set(re.findall(r"word\d+", block.text)) <= set(re.findall(r"word\d+", element.text_content()))
        else:
            assert BASE + element.get("src") == block.url


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("<div><p>a</p><p>b</p></div>", "/html[1]/body[1]/div[1]"),
        ("<p>a</p><div><p>b</p></div><p>c</p>", "/html[1]/body[1]"),
        ("<div></div><div><!-- --><ul><li>a</li></ul></div>", "/html[1]/body[1]/div[2]/ul[1]/li[1]"),
    ],
)
def test_the_path_is_of_the_innermost_element_that_holds_the_whole_block(body, path):
    assert [block.path for block in blocks(body)[0]] == [path]


def test_nothing_kept_is_no_block():
    assert blocks("<p>a</p><img src=i.png width=1 height=1>", without=("a", "")) == ((), {"tracker": 1})
    assert blocks("") == ((), {})
