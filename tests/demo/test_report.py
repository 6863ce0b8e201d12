"""The report says what was found, holds all that it shows, and gives hostile words no hold."""

import json
import math
import re
from html import escape
from pathlib import Path

import pytest
from lxml import html

from demo.answers_view import confusion_table, is_mistake
from demo.charts import line_chart, round_step, running_mean
from demo.digits import draw, encode, split_digits
from demo.findings import Answer, Findings
from demo.headline import headline_html
from demo.page_view import page_html
from demo.report import write_report
from shards.chunk import write_chunk
from shards.document import Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, write_manifest
from shards.show import data_uri

BASE = "http://127.0.0.1:8000/"
HOSTILE = """<script>alert("x")</script>' onerror="alert(1)"""
DIGITS = split_digits()[1][:2]
PICTURE, OTHER = (encode(draw(digit), "png") for digit in DIGITS)
SUMMARY = {
    "pages": 12,
    "documents": 1,
    "images": 2,
    "pairs": 1,
    "videos": 1,
    "updates": 40,
    "accuracy": 0.91,
    "accuracy_blank": 0.1,
    "accuracy_wrong_image": 0.5,
    "trained_parameters": 1234,
    "total_parameters": 5678,
    "seconds": 300.0,
    "peak_rss_mb": 2048,
}
FETCHING = ("src", "href", "srcset", "data", "poster", "background", "action", "xlink:href")
PAGE = f"""<!DOCTYPE html><html><head><base href="/pictures/"><title>{HOSTILE}</title>
<link rel="stylesheet" href="http://elsewhere.test/a.css"></head><body onload="alert(1)">
<img src="a.png" srcset="b.png 2x" alt="near"><img src="gone.png" alt="lost">
<img src="../../secret.png" alt="outside"><img src="http://elsewhere.test/far.png" alt="far">
<a href="http://elsewhere.test/">out</a><script>alert(1)</script>{HOSTILE}</body></html>"""


def image(data: bytes = PICTURE, seconds: float = 0.0) -> Frame:
    return Frame(data=data, format="png", width=96, height=96, seconds=seconds)


def hostile_document(kind: str, source: str) -> Document:
    media = Media(kind="image", frames=(image(),), url=BASE + HOSTILE, alt=HOSTILE, title=HOSTILE)
    if kind == "videos":
        media = Media(kind="video", frames=(image(), image(OTHER, 2.5)))
    blocks = (media, Text(text=f"{HOSTILE}\n\nAfter."), media, Text(text=HOSTILE, caption=True))
    return Document(key=document_key(kind), source=source, blocks=blocks, facts={"title": HOSTILE, "licence": HOSTILE})


def write_dataset(folder: Path, document: Document) -> str:
    commit = write_chunk(locate(str(folder)), "00000", lambda tally: [document])
    write_manifest(locate(str(folder)), merge(f"pipeline.{folder.name}", {}, [commit]))
    return str(folder)


def answer(**changes: str) -> Answer:
    captions = {"caption": "A seven.", "caption_blank": "A three.", "caption_wrong": "A two."}
    return Answer(label="seven", picture=PICTURE, wrong_label="two", wrong_picture=OTHER, **(captions | changes))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "site"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "a.png").write_bytes(PICTURE)
    (folder.parent / "secret.png").write_bytes(OTHER)
    (folder / "page.html").write_text(PAGE)
    return folder


@pytest.fixture(scope="module")
def report(site, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("report")
    records = [
        {"update": n, "loss": {"m3w": 4 / n, "pairs": 3 / n}, "gates": {"a.attention_gate": n / 100}}
        for n in range(1, 41)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    sources = {"web": f"{BASE}page.html", "pairs": BASE + HOSTILE, "videos": HOSTILE}
    datasets = {kind: write_dataset(folder / kind, hostile_document(kind, source)) for kind, source in sources.items()}
    findings = Findings(
        **datasets,
        site=site,
        base_url=BASE,
        log=folder / "log.jsonl",
        summary=SUMMARY,
        answers=[answer(), answer(caption=HOSTILE, caption_blank=HOSTILE, caption_wrong=HOSTILE)],
        commands=[f"python -m pipeline.web --start {HOSTILE}"],
    )
    return write_report(folder, findings).read_text(encoding="utf-8")


def test_nothing_that_was_said_becomes_markup(report):
    tree = html.document_fromstring(report)
    assert HOSTILE not in report
    assert not tree.xpath("//script | //*[@onerror] | //*[@onload]")
    said = tree.text_content()
    assert said.count(f"✗ mistake {HOSTILE}") == 2 * 2  # among the first answers and among the mistakes
    assert said.count(HOSTILE) >= 3 * 3 + 2 * 3 + 1  # titles, texts and captions; answers; the command


def test_the_page_asks_nothing_of_anybody(report):
    tree = html.document_fromstring(report)
    addresses = [element.get(name) for element in tree.iter() for name in FETCHING if element.get(name)]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    (policy,) = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert "default-src 'none'" in policy
    assert "url(" not in "".join(tree.xpath("//style/text()"))


def test_the_scraped_page_stands_beside_its_document_in_a_frame_that_may_do_nothing(report):
    tree = html.document_fromstring(report)
    (frame,) = tree.xpath("//iframe")
    assert frame.get("sandbox") == ""
    assert data_uri(PICTURE, "png") in frame.get("srcdoc")
    (document,) = tree.xpath("//*[@class='beside']//article")
    kinds = ["picture" if child.xpath("./img") else child.get("class", "text") for child in document.iterchildren("p")]
    assert kinds == ["origin", "picture", "text", "text", "picture", "caption"]
    assert [element.text for element in document.xpath(".//p[@class='caption']")] == [HOSTILE]


def test_a_page_holds_its_own_pictures_and_no_other_file(site):
    tree = html.document_fromstring(page_html(site, BASE, f"{BASE}page.html"))
    pictures = {element.get("alt"): element.get("src") for element in tree.iter("img")}
    assert pictures == {"near": data_uri(PICTURE, "png"), "lost": None, "outside": None, "far": None}
    assert not tree.xpath("//script | //link | //base | //@srcset")
    assert tree.xpath("//a/@href") == ["#"]


def test_a_page_that_the_site_lacks_is_refused(site):
    with pytest.raises(ValueError, match=r"gone\.html is no page of the site"):
        page_html(site, BASE, f"{BASE}gone.html")
    with pytest.raises(ValueError, match="is no page of the site"):
        page_html(site, BASE, "http://elsewhere.test/page.html")


def test_the_videos_frames_have_their_seconds(report):
    tree = html.document_fromstring(report)
    assert tree.xpath("//*[@class='film'][1]//figcaption/text()")[:2] == ["0 s", "2.5 s"]


def test_the_figures_stand_with_their_bounds():
    cards = html.fragment_fromstring(headline_html(SUMMARY), create_parent=True).xpath(".//*[@class='card']")
    said = {card.xpath("./h3/text()")[0]: " ".join(card.text_content().split()) for card in cards}
    assert "91.0%" in said["Right image"]
    assert said["Right image"].endswith("at least 80 % ✓ kept")
    assert said["Blank image"].endswith("at most 25 % ✓ kept")
    assert said["Wrong image"].endswith("at least 80 % ✗ missed")
    assert "1,234" in said["Trained parameters"]
    assert "Of 5,678 in all" in said["Trained parameters"]
    assert said["Seconds"].endswith("✓ kept")


def test_a_mistake_is_a_caption_that_does_not_name_what_was_shown():
    assert not is_mistake(answer())
    assert not is_mistake(answer(caption_blank="Nothing."))
    assert is_mistake(answer(caption="A two."))
    assert is_mistake(answer(caption_wrong="A seven."))


def test_the_confusion_table_counts_every_answer_by_digit_shown_and_named():
    answers = [answer(), answer(), answer(caption="A nine."), answer(caption="A cat.")]
    rows = html.fragment_fromstring(confusion_table(answers)).xpath(".//tr")
    cells = {row.xpath("./th/text()")[0]: row.xpath("./td/text()") for row in rows[1:]}
    assert cells["seven"] == ["·"] * 7 + ["2", "·", "1", "1"]
    assert all(set(row) == {"·"} for word, row in cells.items() if word != "seven")


def test_a_chart_draws_each_curve_within_its_frame_and_leaves_out_what_is_not_finite():
    chart = line_chart("Loss", [1, 2, 3], [("each", [4.0, math.nan, 1.0]), ("mean", [-2.0, 0.0, 4.0])])
    curves = re.findall(r'<polyline class="(\w+)" points="([^"]*)"', chart)
    assert [(name, len(points.split())) for name, points in curves] == [("each", 2), ("mean", 3)]
    (_, low), _, (_, high) = (map(float, point.split(",")) for point in curves[1][1].split())
    assert (low, high) == (164.0, 10.0)
    assert {">-2<", ">0<", ">4<"} <= set(re.findall(r">-?\d<", chart))


@pytest.mark.parametrize(("span", "step"), [(6.0, 2.0), (0.5, 0.1), (1.0, 0.2), (4.4, 1.0), (30.0, 10.0)])
def test_steps_of_an_axis_are_round(span, step):
    assert round_step(span) == pytest.approx(step)


def test_a_running_mean_looks_back_only():
    assert running_mean([4.0, 2.0, 0.0, 7.0], 2) == [4.0, 3.0, 1.0, 3.5]


def test_the_commands_can_be_read(report):
    assert f"<pre>{escape(f'python -m pipeline.web --start {HOSTILE}')}</pre>" in report
