"""Pictures of lists that nobody marked: those of marked entries are content, icons are not, others may be either."""

import pytest

from benchmarks.marked_pages import WEIGHT_OF_ENTRIES, Marked, prepare

LONG = " ".join(f"word{number}" for number in range(160))
PAGE = f"""
<div><img src=/entry.jpg><p>First of the entries</p></div>
<div><img src=/icon.png width=24 height=24><p>Second of the entries</p></div>
<div><a href=/x><img src=/other.jpg></a><p>What others bought too</p></div>
<div><img src=/article.jpg><p>{LONG}</p></div>
<div><iframe src=/film></iframe><p>Third of the entries</p></div>
"""
CONTENT = f"First of the entries Second of the entries {LONG} Third of the entries"


def targets(kind: str, pictures: frozenset[str] | None = None) -> tuple[list[float], float]:
    page = Marked(id="one", kind=kind, url="http://x.org/", html=PAGE.encode(), content=CONTENT, pictures=pictures)
    prepared = prepare(page)
    assert prepared is not None
    media = [number for number, tag in enumerate(prepared.segments.media) if tag]
    return prepared.pictures[media].tolist(), prepared.weight_of_pictures


@pytest.mark.parametrize("kind", ["listing", "collection"])
def test_a_picture_beside_marked_text_of_an_entry_is_content_and_an_icon_is_not(kind):
    assert targets(kind) == ([1, 0, -1, -1, -1], WEIGHT_OF_ENTRIES)


def test_other_kinds_and_pictures_that_people_marked_are_left_alone():
    assert targets("product")[0] == [-1] * 5
    found, weight = targets("listing", frozenset({"http://x.org/other.jpg"}))
    assert (found, weight) == ([0, 0, 1, 0, -1], 3.0)
