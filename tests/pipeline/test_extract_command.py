"""`python -m pipeline.extract`: one line of JSON a file, in order."""

import gzip
import json

import pytest

from pipeline.extract import main

TEXT = "Mix the flour with water and salt, knead it well, and leave it to rest for an hour under a cloth."
HTML = (
    "<html lang=en><title>T</title><meta name=robots content='noai, noindex'><body><article><h1>Bread</h1>"
    f"<p>{TEXT}</p><img src=/b.jpg alt=Bread width=800 height=600><p>{TEXT}</p><svg></svg></article></body></html>"
)


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(HTML)
    return path


def printed(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_files_are_printed_in_order_and_gzip_is_read(page, tmp_path, capsys):
    packed = tmp_path / "page.html.gz"
    packed.write_bytes(gzip.compress(page.read_bytes()))
    assert main(["--url", "http://x.org/", str(page), str(packed)]) == 0
    first, second = printed(capsys)
    assert (first["id"], second["id"]) == (str(page), str(packed))
    assert first["blocks"] == second["blocks"]
    assert [block["type"] for block in first["blocks"]] == ["text", "image", "text"]
    assert first["blocks"][1]["url"] == "http://x.org/b.jpg"
    assert "links" not in first


def test_everything_that_a_page_says_of_itself_is_printed(page, capsys):
    assert main(["--url", "http://x.org/", str(page)]) == 0
    (found,) = printed(capsys)
    assert {name: value for name, value in found.items() if name not in ("id", "blocks")} == {
        "url": "http://x.org/",
        "title": "T",
        "language": "en",
        "canonical": "",
        "published": "",
        "licence": "",
        "encoding": "utf-8",
        "encoding_reason": "utf-8",
        "directives": ["noai", "noindex"],
        "left_out": {"inline_svg": 1},
    }
    assert found["blocks"][1] == {
        "type": "image",
        "url": "http://x.org/b.jpg",
        "alternatives": [],
        "alt": "Bread",
        "title": "",
        "attribute": "src",
        "width": 800,
        "height": 600,
        "licence": "",
        "path": "/html[1]/body[1]/article[1]/img[1]",
    }


def test_a_manifest_names_pages_and_types_select_blocks(page, tmp_path, capsys):
    lines = [{"id": name, "url": f"http://{name}.org/", "file": page.name} for name in ("b", "a")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["--manifest", str(tmp_path / "m.jsonl"), "--types", "image"]) == 0
    assert [(line["id"], [block["url"] for block in line["blocks"]]) for line in printed(capsys)] == [
        ("b", ["http://b.org/b.jpg"]),
        ("a", ["http://a.org/b.jpg"]),
    ]


def test_backgrounds_are_printed_where_asked_for(tmp_path, capsys):
    path = tmp_path / "page.html"
    path.write_text(f"<article><p>{TEXT}</p><p style='background: url(b.jpg)'>{TEXT}</p></article>")
    assert main([str(path)]) == main(["--backgrounds", str(path)]) == 0
    without, with_backgrounds = printed(capsys)
    assert without["left_out"] == {}
    images = [block["attribute"] for block in with_backgrounds["blocks"] if block["type"] == "image"]
    assert images == ["style"] or with_backgrounds["left_out"] == {"outside_content": 1}


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "give either files or --manifest"),
        (["/nowhere.html"], "/nowhere.html cannot be read"),
        (["--manifest", "/nowhere.jsonl"], "--manifest /nowhere.jsonl cannot be read"),
        (["--types", "sound", "x.html"], "--types is 'sound'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(argv, sentence, capsys):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert error.count("\n") == 1


def test_a_cut_gzip_and_a_bad_manifest_are_named(page, tmp_path, capsys):
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(page.read_bytes())[:-20])
    assert main([str(cut)]) == 2
    (tmp_path / "m.jsonl").write_text('{"id": 1}\n')
    assert main(["--manifest", str(tmp_path / "m.jsonl")]) == 2
    assert "m.jsonl, line 1" in capsys.readouterr().err
