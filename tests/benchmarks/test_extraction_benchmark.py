"""The extraction benchmark on a handful of pages: its figures, its files, and the line that programs read."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.extraction import main
from benchmarks.labelled_images import score_labelled
from benchmarks.marked_pages import prepare, read_pages
from benchmarks.pages import SavedPage
from benchmarks.peers import installed_extractors, xml_blocks
from benchmarks.scores import in_wcxb_mix
from benchmarks.speed import cpu_seconds, share_of
from benchmarks.train_salience import SalienceConfig, fit_by_folds, fit_text, held_out_models

BEFORE = "The flamingo stands on one leg in the shallow lagoon and filters the brine for algae and small shrimps."
AFTER = "Its chicks are grey when they hatch, and turn pink over two or three years from the pigments in their food."
HTML = f"<html><body><article><p>{BEFORE}</p><img src=/birds.jpg><p>{AFTER}</p></article></body></html>"
FIGURES = {
    "text_f1": 0.955,
    "image_recall": 0.93,
    "image_precision": 0.93,
    "placement": 0.97,
    "article_f1": 0.958,
    "all_kinds_f1": 0.87,
    "pages_per_cpu_second": 0,
    "share_of_bare_walk_readability": 0.36,
    "share_of_bare_walk_wcxb": 0.36,
}


@pytest.fixture
def scorers(material) -> Path:
    folder = material.parent / "bench"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the scorers do not come with the project")
    return folder


@pytest.fixture
def small_material(tmp_path) -> Path:
    """One page for readability, one for aeb, and two kinds of page for wcxb."""
    pages = tmp_path / "material" / "pages"
    page = pages / "readability" / "birds"
    page.mkdir(parents=True)
    (page / "source.html").write_text(HTML)
    (page / "expected.html").write_text(HTML)
    (page / "meta.json").write_text('{"url": "http://x.org/birds"}')
    truth = {"url": "http://x.org/birds", "articleBody": f"{BEFORE}\n\n{AFTER}", "with": ["one leg"]}
    kinds = {"aeb": {"1": truth}, "wcxb": {"1": truth | {"page_type": "article"}, "2": truth | {"page_type": "forum"}}}
    for name, items in kinds.items():
        (pages / name).mkdir()
        (pages / name / "ground-truth.json").write_text(json.dumps(items))
        for page_id in items:
            (pages / name / f"{page_id}.html.gz").write_bytes(gzip.compress(HTML.encode()))
    return tmp_path / "material"


def test_the_last_line_holds_each_figure_beside_what_it_must_be(small_material, scorers, tmp_path, capsys):
    output = tmp_path / "out"
    flags = ["--material", str(small_material), "--scorers", str(scorers), "--output", str(output)]
    assert main([*flags, "--rounds", "1", "--peers", "false", "--folds", "0"]) == 0

    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last.keys() == {"benchmark", "targets", "machine"}
    assert last["benchmark"] == "extraction"
    assert {name: float(target["must"].removeprefix(">= ")) for name, target in last["targets"].items()} == FIGURES
    values = {name: target["value"] for name, target in last["targets"].items()}
    # The page is all content, so that nothing can be missing or too much.
    assert [values[name] for name in list(FIGURES)[:6]] == [1.0] * 6
    assert values["pages_per_cpu_second"] > 0

    assert json.loads((output / "wcxb-by-page.jsonl").read_text().splitlines()[0])["word_f1"] == 1.0
    by_page = json.loads((output / "readability-by-page.jsonl").read_text())
    assert by_page["images"] == {"expected": 1, "named": 1, "found": 1, "placed": 1}
    assert json.loads((output / "bare walk" / "aeb.jsonl").read_text())["blocks"][1]["url"] == "/birds.jpg"


def test_what_is_absent_is_refused_in_one_sentence(tmp_path, small_material, capsys):
    assert main(["--scorers", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nowhere' / 'interleave_score.py'} is absent")
    for name in ("interleave_score.py", "article_score.py"):
        (tmp_path / name).touch()
    assert main(["--scorers", str(tmp_path), "--material", str(tmp_path / "nowhere")]) == 2
    assert "nowhere/pages/readability holds no pages" in capsys.readouterr().err
    assert main(["--rounds", "0"]) == 2
    assert "rounds is 0; it must be 1 or greater" in capsys.readouterr().err
    assert main(["--folds", "1"]) == 2
    assert "folds is 1; it must be 2 or greater, or 0" in capsys.readouterr().err


@pytest.mark.slow
def test_every_page_has_a_model_that_was_trained_without_it(small_material, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text('{"pages": {}}')
    first = small_material / "pages" / "readability" / "birds"
    for number in range(4):
        shutil.copytree(first, first.with_name(f"birds-{number}"))
    config = SalienceConfig(material=small_material, labels=labels, epochs=1)
    pages = [prepared for page in read_pages(small_material, labels, None) if (prepared := prepare(page))]
    fold, models, said = fit_by_folds(pages, config, 2)
    assert sorted(fold.tolist()) == [0, 0, 0, 0, 1, 1, 1, 1]
    for number in range(2):
        others = fit_text([page for page, own in zip(pages, fold, strict=True) if own != number], config)
        for mine, again in zip(models[number]["text"][0].layers, others[0].layers, strict=True):
            np.testing.assert_array_equal(mine[0], again[0])
    assert [len(values) for values in said] == [len(page.segments) for page in pages]
    assert held_out_models(config, 2).keys() == {page.id for page in pages}


def test_a_broken_scorer_is_named_with_its_last_words(tmp_path, small_material, capsys):
    for name in ("interleave_score.py", "article_score.py"):
        (tmp_path / name).write_text("def score_page(*_):\n    return 0, 0, 0, 0, 0\nif __name__ == '__main__': 1 / 0")
    flags = ["--material", str(small_material), "--scorers", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main([*flags, "--peers", "false", "--folds", "0"]) == 2
    assert "interleave_score.py failed on" in (message := capsys.readouterr().err)
    assert "ZeroDivisionError" in message


def test_the_bare_walk_keeps_everything_and_cuts_no_word():
    walk = installed_extractors(with_peers=False)[-1]
    html = b"<body>a<nav>b<b>c</b>d</nav><script>no</script><!-- no --><img data-src=i.png>e<ul><li>f</ul>"
    before, image, after = walk.blocks(walk.run(html, "http://x.org/"))
    assert before["text"].split() == ["a", "bcd"]
    assert image["url"] == "i.png"
    assert after["text"].split() == ["e", "f"]


def test_of_a_peer_headings_are_kept_as_well():
    xml = (
        "<doc><main><head>A</head><p>b <hi>c</hi>d</p><graphic src='i.png'/></main><comments><p>no</p></comments></doc>"
    )
    text, image = xml_blocks(xml)
    assert text["text"].split() == ["A", "b", "cd"]
    assert image["url"] == "i.png"
    assert xml_blocks(None) == []


def test_labelled_images_count_once_and_optional_ones_not_at_all(tmp_path):
    groups = {"content": [["http://x.org/a.jpg", "http://x.org/a-big.jpg"], ["http://x.org/b.jpg"]]}
    groups |= {"other": [["http://x.org/logo.png"]], "optional": [["http://x.org/background.jpg"]]}
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"rule": "", "pages": {"1": groups}}))
    pages = [SavedPage(id=name, url="http://x.org/", html=b"", kind="product") for name in ("1", "2")]
    shown = [("a-small.jpg", ["a-big.jpg"]), ("a.jpg", []), ("logo.png", []), ("background.jpg", [])]
    blocks = [{"type": "image", "url": url, "alternatives": others} for url, others in shown]
    figures = {"image_recall": 0.5, "image_precision": 0.3333, "images_expected": 2, "pages": 1}
    assert score_labelled(labels, pages, {"1": blocks, "2": blocks}) == {"all": figures, "product": figures}


def test_speed_is_the_median_of_ratios_within_a_round():
    assert share_of([1.0, 2.0, 9.0], [2.0, 4.0, 9.0]) == 0.5
    extractors = installed_extractors(with_peers=False)
    pages = [SavedPage(id="1", url="http://x.org/", html=HTML.encode(), kind="")] * 3
    seconds = cpu_seconds(extractors, pages, rounds=2)
    assert [len(own) for own in seconds.values()] == [2, 2]
    assert all(second > 0 for own in seconds.values() for second in own)


def test_the_mix_of_kinds_is_that_of_wcxb():
    assert in_wcxb_mix({"article": 1.0, "forum": 0.0}) == pytest.approx(793 / (793 + 113), abs=1e-4)
