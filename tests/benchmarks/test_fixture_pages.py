"""Marked pages out of small checkouts that look like those of the two projects."""

import gzip
import json
from pathlib import Path

from benchmarks.fixture_pages import FixtureConfig, make_folder
from benchmarks.marked_pages import prepare, read_pages
from jobs.command import run_command

WORDS = " ".join(f"word{number}" for number in range(120))
PAGE = f"""<html><head><link rel=canonical href=http://x.org/story></head><body><nav>Home</nav><div class=story>
<p>{WORDS}</p><img src=/a.jpg><div class=ad>Buy this</div><p>The end of it.</p></div>
<aside>Other</aside></body></html>"""
EXTRACTOR = """// of x.org
export const Extractor = { domain: 'x.org', supportedDomains: ['www.x.org'],
  content: { selectors: [['.missing', '.too'], '.story'], clean: ['.ad'] } };"""


def postlight(folder: Path) -> Path:
    (folder / "fixtures").mkdir(parents=True)
    (folder / "fixtures" / "x.org.html").write_text(PAGE)
    (folder / "fixtures" / "unknown.org.html").write_text(PAGE)
    custom = folder / "src" / "extractors" / "custom" / "x.org"
    custom.mkdir(parents=True)
    (custom / "index.js").write_text(EXTRACTOR)
    return folder


def fundus(folder: Path) -> Path:
    pages = folder / "tests" / "resources" / "parser" / "test_data" / "us"
    pages.mkdir(parents=True)
    name = "Paper_2024_01_02.html.gz"
    (pages / name).write_bytes(gzip.compress(PAGE.encode()))
    (pages / "meta.info").write_text(json.dumps({name: {"url": "http://x.org/story"}}))
    body = {"summary": [], "sections": [{"headline": [], "paragraphs": [WORDS, "The end of it."]}]}
    images = [{"versions": [{"url": "http://x.org/a.jpg"}]}]
    (pages / "Paper.json").write_text(json.dumps({"V1": {"body": body, "images": images}, "V0": {"body": None}}))
    return folder


def test_the_labels_are_what_the_selectors_take_and_what_the_tests_expect(tmp_path, material):
    output = tmp_path / "extra"
    make_folder(
        FixtureConfig(checkout=postlight(tmp_path / "p"), output=output, fundus=fundus(tmp_path / "f")),
    )
    truth = json.loads((output / "ground-truth.json").read_text())
    assert truth.keys() == {"postlight-x.org", "fundus-us-Paper_2024_01_02"}
    for label in truth.values():
        assert label["articleBody"] == f"{WORDS}\nThe end of it."
        assert (label["url"], label["images"]) == ("http://x.org/story", ["http://x.org/a.jpg"])

    labels = tmp_path / "labels.json"
    labels.write_text('{"pages": {}}')
    marked = {page.id: page for page in read_pages(material, labels, output) if page.kind == "extra"}
    prepared = prepare(marked["postlight-x.org"])
    assert prepared is not None
    found = dict(zip(prepared.segments.texts, zip(prepared.found, prepared.pictures, strict=True), strict=True))
    assert [found[text][0] for text in (WORDS, "The end of it.", "Buy this", "Other")] == [1, 1, 0, 0]
    assert found[""][1] == 1


def test_a_folder_that_is_no_checkout_is_refused(tmp_path, capsys):
    flags = ["--checkout", str(tmp_path), "--output", str(tmp_path / "out")]
    assert run_command(FixtureConfig, make_folder, "", flags) == 2
    assert "has no src/extractors/custom; give a checkout of the whole repository" in capsys.readouterr().err
