"""A page cut into segments: order, borders, and what is remembered of the markup around."""

import lxml.html
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extraction.containers import containers_of, nearest
from pipeline.extraction.markup import parse
from pipeline.extraction.segments import Segments, cut
from pipeline.extraction.tags import attributes_of, paths, sources_of
from pipeline.extraction.vocabulary import CLASSES, CONTAINER_TAGS, MARKS


def segments(body: str, *, backgrounds: bool = False) -> Segments:
    html = f"<html><body>{body}</body></html>"
    return cut(html, parse(html), backgrounds=backgrounds)[0]


def owners(found: Segments) -> list[str]:
    return [found.names[found.container_tags[container]] for container in found.containers]


def named(bits: int, names: tuple[str, ...]) -> set[str]:
    return {name for number, name in enumerate(names) if bits >> number & 1}


def test_segments_end_where_blocks_do_and_images_stand_alone():
    found = segments("<p>one <b>two</b></p>three<img src=i>four<ul><li>five<li>six</ul>")
    assert found.texts == ["one two", "three", "", "four", "five", "six"]
    assert [found.names[tag] if tag else "" for tag in found.media] == ["", "", "img", "", "", ""]
    assert owners(found) == ["p", "body", "body", "body", "li", "li"]


def test_linked_characters_are_counted_and_a_hidden_link_upsets_nothing():
    found = segments("<p>ab <a href=x>cde</a> f</p><a hidden href=y>no</a><p>gh</p><a href=z>ij</a>")
    assert list(zip(found.texts, found.linked, strict=True)) == [("ab cde f", 3), ("gh", 0), ("ij", 2)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<span>Credit</span><span>Ann Lee</span>", "Credit Ann Lee"),
        ("<b>Price</b><i><span>12</span></i>", "Price 12"),
        ("<b><i>Open</i></b><a href=x><i>World</i></a>", "Open World"),
        ("<a href=x>ruby</a><a href=y>python</a>", "ruby python"),
        ("<span>9</span><span>9 badges</span>", "9 9 badges"),
        ("<span>One</span>\n<span>Two</span>", "One Two"),
        ("<span>re</span><span>install</span>", "reinstall"),
        ("<a href=x>re</a><span>install</span>", "reinstall"),
        ("<a href=x>re</a><a href=y><i></i></a><b>install</b>", "reinstall"),
        ("<a href=x>ruby</a><a href=y>, python</a>", "ruby, python"),
        ("<b>re</b>al<i>Time</i>", "realTime"),
        ("i<b>Phone</b> and <b>Better</b>Help", "iPhone and BetterHelp"),
        ("<span>H</span><span>E</span><span>Y</span><span>you</span>", "HEYyou"),
        ("<i>CO</i><sub>2</sub> <i>10</i><sup>6</sup> <sub>1</sub><b>23</b>", "CO2 106 123"),
        ("<b>Foo</b><i>(</i><b>Bar</b><i>)</i><b>.</b>", "Foo(Bar)."),
    ],
)
def test_neighbours_are_words_of_their_own_where_one_word_would_not_go_on(body, text):
    assert segments(f"<p>{body}</p>").texts == [text]


def test_code_is_as_it_is_written():
    assert segments("<pre><b>get</b><i>Name</i><b>12</b></pre>").texts == ["getName12"]


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
    around = containers_of(found)
    menu, story = CLASSES[6], CLASSES[9]

    def marks(number: int) -> set[str]:
        return named(around.marks_around[found.containers[number]], MARKS)

    assert marks(0) & {*CONTAINER_TAGS} == {"nav", "ul", "li", "div"}
    assert menu in marks(0)
    assert marks(1) == {"p", "div", story}


def test_containers_that_hold_the_same_count_as_one():
    found = segments("<p>a</p><div class=story><div><p>b</p></div></div>")
    around = containers_of(found)
    inner = found.containers[1]
    assert owners(found) == ["p", "p"]
    assert named(around.marks[inner], MARKS) == {"div", "p", CLASSES[9]}
    assert found.names[found.container_tags[around.parents[inner]]] == "body"


def test_containers_that_hold_nothing_are_forgotten():
    found = segments("<div><p></p><ul><li> </li></ul></div><div><p>a</p><p></p></div><section></section>")
    assert [found.names[tag] for tag in found.container_tags[1:]] == ["html", "body", "div", "p"]
    assert containers_of(found).innermost.tolist() == [False, False, False, False, True]


def test_line_breaks_stay_in_a_text_and_other_white_space_folds():
    assert segments("<p>one\n  two<br>three <br/> </p>").texts == ["one two\nthree"]


def test_code_keeps_its_lines():
    assert segments("<pre>\ndef f():\n    return 1 &lt; 2\n</pre>after").texts == [
        "def f():\n    return 1 < 2",
        "after",
    ]


def test_elements_that_html_does_not_know_part_words_and_others_do_not():
    assert segments("<x-a>one</x-a><x-b>two</x-b> th<b>re</b>e").texts == ["one two three"]


@pytest.mark.parametrize("hidden", ["<section hidden>b<div>c</div></section>", "<i style='display:none'>b<b>c</b></i>"])
def test_text_goes_on_behind_what_is_hidden(hidden):
    assert " ".join(segments(f"a {hidden}d").texts) == "a d"


def test_a_page_that_hides_all_it_has_is_shown():
    words = "many words " * 60
    assert segments(f"<div style='visibility: hidden'><p>{words}</p></div><p>few</p>").texts == [words.strip(), "few"]
    assert segments(f"<div style='visibility: hidden'><p>few</p></div><p>{words}</p>").texts == [words.strip()]
    assert segments("<p hidden>few words</p>").texts == []


def test_media_are_passed_by_with_what_they_hold():
    found = segments("a<video poster=p><source src=v.mp4>no video</video>b<iframe src=f>none</iframe><embed src=e>c")
    assert found.texts == ["a", "", "b", "", "", "c"]
    assert [found.names[tag] for tag in found.media if tag] == ["video", "iframe", "embed"]
    video = found.media[1]
    assert (attributes_of(found, video), sources_of(found, video)) == ({"poster": "p"}, [{"src": "v.mp4"}])


def test_the_sources_of_a_picture_are_those_before_its_image():
    found = segments("<picture><source srcset='a&amp;b 2x'><source srcset=c><img src=d></picture><img src=e>")
    pictures = [tag for tag in found.media if tag]
    assert [attributes_of(found, tag)["src"] for tag in pictures] == ["d", "e"]
    assert [sources_of(found, tag) for tag in pictures] == [[{"srcset": "a&b 2x"}, {"srcset": "c"}], []]


def test_the_link_around_a_picture_is_known():
    found = segments("<a href=big.jpg><img src=small.jpg></a><img src=i>")
    assert [attributes_of(found, tag).get("href") for tag in found.links if tag] == ["big.jpg"]


def test_background_pictures_are_media_where_asked_for():
    body = "<div style='background-image: url(b.jpg)'>text</div>"
    assert [tag > 0 for tag in segments(body).media] == [False]
    assert [tag > 0 for tag in segments(body, backgrounds=True).media] == [True, False]


def test_the_nearest_container_of_a_name():
    found = segments("<table><tr><td><p>a</p></td></tr></table>b")
    assert found.names[found.container_tags[nearest(found, 0, ("tr", "table"))]] == "tr"
    assert nearest(found, 1, ("tr", "table")) == 0


@settings(deadline=None)
@given(st.recursive(st.sampled_from(["w", "<img>", "<b>w</b>", "<br>"]), lambda inner: st.lists(inner, max_size=4)))
def test_paths_are_those_of_lxml(tree):
    html = f"<html><body>{_written(tree)}</body></html>"
    root = lxml.html.document_fromstring(html)
    found, _ = cut(html, parse(html))
    tags = [number for number, name in enumerate(found.names) if name[0] != "/"]
    elements = list(root.iter())
    for element, path in zip(elements, paths(found, tags).values(), strict=True):
        assert root.getroottree().xpath(path) == [element]


def _written(node: object) -> str:
    return node if isinstance(node, str) else f"<div>{''.join(map(_written, node))}</div>"  # pyright: ignore


@pytest.mark.parametrize("depth", [10, 200])
def test_nesting_changes_no_text(depth):
    assert segments("<div>" * depth + "deep" + "</div>" * depth).texts == ["deep"]


@settings(deadline=None)
@given(st.recursive(st.sampled_from(["w", "<img src=i>", "<b>w</b>", ""]), lambda inner: st.lists(inner, max_size=4)))
def test_a_container_holds_the_segments_between_its_start_and_its_end(tree):
    found = segments(_written(tree) + "end")
    for number in range(len(found)):
        container = found.containers[number]
        while container:
            assert found.starts[container] <= number < found.ends[container]
            container = found.parents[container]
    assert (found.starts[0], found.ends[0]) == (0, len(found))
