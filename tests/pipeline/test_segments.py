"""A page cut into segments: order, borders, and what is remembered of the markup around."""

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.segments import CLASSES, TAGS, Segments, cut


def segments(body: str) -> Segments:
    return cut(lxml.html.document_fromstring(f"<html><body>{body}</body></html>"))


def named(bits: int, names: tuple[str, ...]) -> set[str]:
    return {name for number, name in enumerate(names) if bits >> number & 1}


def test_segments_end_where_blocks_do_and_images_stand_alone():
    found = segments("<p>one <b>two</b></p>three<img src=i>four<ul><li>five<li>six</ul>")
    assert found.texts == ["one two", "three", "", "four", "five", "six"]
    assert [element is not None for element in found.elements] == [False, False, True, False, False, False]
    assert found.owners == ["p", "body", "body", "body", "li", "li"]


def test_linked_characters_are_counted_and_a_hidden_link_upsets_nothing():
    found = segments("<p>ab <a href=x>cde</a> f</p><a hidden href=y>no</a><p>gh</p><a href=z>ij</a>")
    assert list(zip(found.texts, found.linked, strict=True)) == [("ab cde f", 3), ("gh", 0), ("ij", 2)]


def test_what_is_never_shown_is_no_segment():
    assert segments("<script>a</script><p hidden>b</p><p style='display : none'>c</p><!--d--><svg>e</svg>f").texts == [
        "f"
    ]


def test_noscript_counts_as_shown():
    assert segments("<noscript><p>for readers without scripts</p></noscript>").texts == ["for readers without scripts"]


def test_tags_and_classes_around_are_remembered():
    found = segments(
        "<nav class='site-menu'><ul><li><a href=x>home</a></ul></nav><div role=main><p id=story>a</p></div>"
    )
    menu, story = (CLASSES[6], CLASSES[9])
    assert named(found.tags[0], TAGS) == {"nav", "ul", "li"}
    assert menu in named(found.classes[0], CLASSES)
    assert named(found.tags[1], TAGS) == {"p"}
    assert named(found.classes[1], CLASSES) == {story}


def test_line_breaks_stay_in_a_text_and_other_white_space_folds():
    assert segments("<p>one\n  two<br>three <br/> </p>").texts == ["one two\nthree"]


def test_captions_are_marked():
    assert segments("<figure><img src=i><figcaption>cap <b>tion</b></figcaption></figure>text").captions == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("depth", [10, 200])
def test_nesting_changes_no_text(depth):
    assert segments("<div>" * depth + "deep" + "</div>" * depth).texts == ["deep"]


@given(st.recursive(st.sampled_from(["w", "<img src=i>", "<b>w</b>", ""]), lambda inner: st.lists(inner, max_size=4)))
def test_a_container_holds_the_segments_between_its_start_and_its_end(tree):
    def html(node: object) -> str:
        return node if isinstance(node, str) else f"<div>{''.join(map(html, node))}</div>"  # pyright: ignore

    found = segments(html(tree) + "end")
    for number in range(len(found)):
        container = found.containers[number]
        while container:
            assert found.starts[container] <= number < found.ends[container]
            container = found.parents[container]
    assert (found.starts[0], found.ends[0]) == (0, len(found))
