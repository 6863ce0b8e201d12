"""What a teacher keeps of pages: when it is believed, and when it cannot be asked."""

import json

import pytest

from benchmarks.marked_pages import TAUGHT, Marked, picture_addresses, prepare, with_taught
from benchmarks.taught_pages import TaughtConfig, make_labels
from benchmarks.train_salience import text_weights
from jobs.command import InputError

TEXT = " ".join(f"word{number}" for number in range(100))
PAGE = f"<h1>Title here</h1><p>{TEXT}</p><img src=/a.jpg decoding=async><aside><img src=/b.jpg decoding=async></aside>"


def page(name: str, kind: str = "article", content: str = TEXT, pictures=None) -> Marked:
    return Marked(id=name, kind=kind, url="", html=PAGE.encode(), content=content, pictures=pictures)


def taught(folder, *names: str):
    label = {"url": "http://x.org/", "text": TEXT, "images": ["http://x.org/a.jpg"]}
    (folder / TAUGHT).write_text(json.dumps(dict.fromkeys(names, label)))
    return folder


@pytest.mark.parametrize(
    ("marked", "pictures"),
    [
        (page("one"), [1, 0]),
        (page("one", content=f"{TEXT} {TEXT}"), [-1, -1]),
        (page("one", kind="forum"), [-1, -1]),
        (page("other"), [-1, -1]),
        (page("one", pictures=frozenset({"http://x.org/b.jpg"})), None),
    ],
    ids=["agrees", "disagrees on the text", "a kind that it was not made for", "not taught", "marked by people"],
)
def test_the_teacher_is_believed_where_it_agrees_and_nobody_marked_pictures(tmp_path, marked, pictures):
    (tmp_path / "one.html").write_text(PAGE)
    found, *others = with_taught([marked], taught(tmp_path, "one"))
    assert [other.id for other in others] == ([] if marked.id == "one" else ["one"])
    if pictures is None:
        assert found is marked
    else:
        prepared = prepare(found)
        assert prepared is not None
        media = [number for number, tag in enumerate(prepared.segments.media) if tag]
        assert prepared.pictures[media].tolist() == pictures


def test_a_page_that_nobody_marked_teaches_but_not_its_title(tmp_path):
    (tmp_path / "new.html").write_text(PAGE)
    (only,) = with_taught([], taught(tmp_path, "new"))
    assert (only.kind, only.url, only.content) == ("taught", "http://x.org/", TEXT)
    prepared = prepare(only)
    assert prepared is not None
    weights = dict(zip(prepared.segments.texts, text_weights(prepared), strict=True))
    assert weights["Title here"] == 0 < weights[TEXT]


def test_only_addresses_name_a_picture():
    said = {"src": "a.jpg", "decoding": "async", "width": "90", "loading": "lazy", "alt": "b.jpg", "srcset": "c.jpg 2x"}
    assert set(picture_addresses(said, (), "http://x.org/")) == {"http://x.org/a.jpg", "http://x.org/c.jpg"}
    assert list(picture_addresses({"src": "data:image/gif;base64,R0lGOD"}, (), "http://x.org/")) == []


def test_a_missing_teacher_is_an_error_in_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="has no node_modules/jsdom; run npm install"):
        TaughtConfig(extra=tmp_path, node=tmp_path)
    (tmp_path / "node_modules" / "jsdom").mkdir(parents=True)
    (tmp_path / "ground-truth.json").write_text("{}")
    material = tmp_path / "material" / "pages"
    for name in ("wcxb", "aeb", "readability"):
        (material / name).mkdir(parents=True)
        (material / name / "ground-truth.json").write_text("{}")
    (tmp_path / "labels.json").write_text('{"pages": {}}')
    monkeypatch.setenv("PATH", str(tmp_path))
    config = TaughtConfig(
        extra=tmp_path, node=tmp_path, material=tmp_path / "material", labels=tmp_path / "labels.json"
    )
    with pytest.raises(InputError, match=r"readability\.mjs failed: .*node"):
        make_labels(config)
