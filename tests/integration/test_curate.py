"""Datasets curated whole: what leaves and why, reruns and kills, any number of workers, presets, and bad input."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import yaml

from pipeline import curate
from pipeline.curation import tasks
from pipeline.ledger import Record, read_ledger
from pipeline.ledger.__main__ import main as ask_ledger
from shards.chunk import Tally, write_chunk
from shards.dataset import open_dataset
from shards.document import Block, Document, Frame, Media, Text, document_key
from shards.location import locate
from shards.manifest import merge, read_commits, write_manifest

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "recipes" / "curate").glob("*.yaml"))
FOOTER = "All rights are reserved by the people of this place."
STORY = (
    "The baker has made bread with flour and water since the first winter of the war, and people say that it is to be "
    "eaten on the day of the market, when the square is full of carts and of those who have come from far away."
)
FATES = {
    "m3w": {"good": "", "german": "wanted_language_under", "copy": "words_under"},
    "obelics": {"good": "media_under", "german": "media_under", "copy": "media_under"},
    "mmc4": {"good": "media_under", "german": "wanted_language_under", "copy": "media_under"},
    "copies": {"good": "near_text", "german": "", "copy": "near_text"},
}
"""For which reason some pages leave by each preset: the story alone has 47 words; the pictures are 100 pixels high."""
GERMAN = "Der Bäcker hat im ersten Winter des Krieges begonnen, Brot aus Mehl und Wasser zu backen, und alle kamen."


def image(seed: int, width: int = 120, height: int = 100) -> Media:
    """A picture of noise in patches, which no other seed gives."""
    patches = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    pixels = np.ascontiguousarray(patches.repeat(20, axis=0).repeat(20, axis=1))
    frame = Frame(data=simplejpeg.encode_jpeg(pixels), format="jpg", width=pixels.shape[1], height=pixels.shape[0])
    return Media(kind="image", frames=(frame,), url=f"https://x.org/{seed}.jpg")


def page(name: str, *blocks: Block, **facts: str) -> Document:
    source = f"https://x.org/{name}"
    return Document(key=document_key("web", source), source=source, blocks=blocks, facts=facts)


def write_dataset(folder: Path, *shards: Iterable[Document]) -> None:
    location = locate(str(folder))
    for number, documents in enumerate(shards):

        def some(_: Tally, documents: Iterable[Document] = documents) -> Iterable[Document]:
            return documents

        write_chunk(location, f"{number:06d}", some)
    write_manifest(location, merge("pipeline.web", {}, read_commits(location)))


def files(folder: Path) -> dict[str, bytes]:
    """What the output holds, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def records(folder: Path) -> dict[str, Record]:
    """All records of an output's ledgers, by the end of their address."""
    output = locate(str(folder))
    return {
        record.page.removeprefix("https://x.org/"): record
        for commit in read_commits(output)
        for record in read_ledger(output, commit)
    }


def reasons(record: Record) -> list[str]:
    return [f"{entry.kind} {entry.reason}" for entry in record.entries if entry.reason]


MORE = {"same_images": True, "near_text": 0.95, "repeated_images": True}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    rules = {
        "document": {"wanted_language": {"least": 0.5}, "media": {"least": 1}, "words": {"least": 20}},
        "paragraph": {"words": {"least": 2}},
        "image": {"aspect": {"most": 2}},
        "copies": {"paragraph_documents": 2, "same_address": True, "same_text": True, "image_documents": 3, **MORE},
    }
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules, sort_keys=False))
    return path


def test_a_set_of_another_tool_is_refused_before_its_output_is_claimed(tmp_path, capsys):
    manifest = merge("shards.adopt", {}, [], {"kind": "img2dataset", "folder": "/somewhere", "images": ""})
    write_manifest(locate(str(tmp_path / "adopted")), manifest)
    assert curate.main(["--input", str(tmp_path / "adopted"), "--output", str(tmp_path / "out")]) == 2
    assert "names the files of a set of kind img2dataset where they lie" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two shards of pages, of which some leave for each kind of reason."""
    first = [
        page("good", Text(text=f"Home\n\n{STORY}"), image(1), Text(text=FOOTER)),
        page("german", Text(text=GERMAN), image(2)),
        page("short", Text(text="A few words of English alone."), image(3), Text(text=FOOTER)),
        page("wide", Text(text=STORY + " It was so in the north."), image(4, 320, 100), Text(text=FOOTER)),
    ]
    second = [
        page("copy", Text(text=STORY), image(5)),
        *(page(f"shared-{n}", Text(text=f"{STORY} Number {n} has it."), image(6), image(10 + n)) for n in range(4)),
    ]
    write_dataset(tmp_path / "gathered", first, second)
    return tmp_path / "gathered"


@pytest.mark.usefixtures("ray_cluster")
def test_what_leaves_leaves_for_its_reason_and_the_rest_is_kept(dataset, config, tmp_path, capsys):
    argv = ["--config", str(config), "--input", str(dataset), "--output", str(tmp_path / "out")]
    assert curate.main(argv) == 0
    curated = open_dataset(str(tmp_path / "out"))
    kept = {document.source.removeprefix("https://x.org/"): document for document in curated.documents()}
    assert list(kept) == ["good", *(f"shared-{n}" for n in range(4))]
    assert kept["good"].blocks == (Text(text=STORY), image(1))
    assert [media.url for media in kept["shared-2"].media] == ["https://x.org/12.jpg"]
    assert kept["good"].measures["words"] == len(STORY.split())
    said = records(tmp_path / "out")
    assert {name: reasons(record) for name, record in said.items()} == {
        "good": ["paragraph words_under", "paragraph host_documents_over"],
        "german": ["document wanted_language_under"],
        "short": ["paragraph host_documents_over", "document words_under"],
        "wide": ["image aspect_over", "paragraph host_documents_over", "document media_under"],
        "copy": ["document same_text"],
        **{f"shared-{n}": ["image documents_over"] for n in range(4)},
    }
    wide = said["wide"].entries[1]
    assert (wide.number, wide.measure, wide.threshold) == (0, 3.2, 2)
    assert (said["copy"].entries[-1].other, said["copy"].entries[-1].stage) == (kept["good"].key, "duplicates")
    assert said["german"].entries[1].measures["side"] == 100
    assert curated.manifest.counts == {"documents": 5, "documents_read": 9, "images": 5, "paragraphs": 5}
    shown = capsys.readouterr().out
    assert "duplicates: document_same_text" in shown
    funnel = json.loads((tmp_path / "out" / "funnel.json").read_text())
    assert (funnel["read"]["documents"], funnel["kept"]["documents"], funnel["kept"]["images"]) == (9, 5, 5)
    assert (tmp_path / "out" / "funnel.svg").exists()
    assert not (tmp_path / "out" / "work").exists()


@pytest.mark.usefixtures("ray_cluster")
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(dataset, config, tmp_path, monkeypatch):
    def argv(name: str) -> list[str]:
        return ["--config", str(config), "--input", str(dataset), "--output", str(tmp_path / name)]

    assert curate.main(argv("whole")) == 0
    with monkeypatch.context() as broken:
        # As if the driver had died between the passes and the writing.
        broken.setattr(curate, "write_shard", None)
        broken.setattr(curate, "find_copies", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            curate.main(argv("killed"))
    judged = list((tmp_path / "killed" / "work" / "judged").iterdir())
    before = {path.name: path.stat().st_mtime_ns for path in judged}
    assert len(before) == 2

    def refuse(*_: object) -> None:
        raise AssertionError("a shard was judged twice")

    monkeypatch.setattr(tasks, "judge", refuse)
    assert curate.main(argv("killed")) == 0
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("*")}
    assert curate.main(argv("whole")) == 0
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("*")}


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_runs(preset, dataset, tmp_path):
    argv = ["--config", str(preset), "--input", str(dataset), "--output", str(tmp_path / "out")]
    assert curate.main(argv) == 0
    said = records(tmp_path / "out")
    assert {name: said[name].entries[-1].reason for name in ("good", "german", "copy")} == FATES[preset.stem]


@pytest.mark.usefixtures("ray_cluster")
def test_one_worker_writes_the_same_bytes_as_four(dataset, config, tmp_path):
    def argv(name: str) -> list[str]:
        return ["--config", str(config), "--input", str(dataset), "--output", str(tmp_path / name)]

    program = (
        "import sys, ray; from pipeline import curate;"
        "ray.init(address='local', num_cpus=1, include_dashboard=False, log_to_driver=False);"
        "sys.exit(curate.main(sys.argv[1:]))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    subprocess.run([sys.executable, "-c", program, *argv("one")], check=True, cwd=ROOT, env=environment)
    assert curate.main(argv("four")) == 0
    assert files(tmp_path / "one") == files(tmp_path / "four")


@pytest.mark.usefixtures("ray_cluster")
def test_several_datasets_become_one_and_the_same_page_is_kept_once(tmp_path):
    old = page("a", Text(text=f"{STORY} Old."), image(1), published="2024-01-01")
    new = replace(old, blocks=(Text(text=f"{STORY} New."), image(2)), facts={"published": "2025-01-01"})
    write_dataset(tmp_path / "one", [new])
    write_dataset(tmp_path / "two", [old, page("b", Text(text="write to me@example.org"), image(3))])
    argv = ["--input", json.dumps([str(tmp_path / "one"), str(tmp_path / "two")]), "--output", str(tmp_path / "out")]
    assert curate.main([*argv, "--copies.same_address", "true", "--personal"]) == 0
    curated = open_dataset(str(tmp_path / "out"))
    assert [document.texts[0].text for document in curated.documents()] == [f"{STORY} New.", "write to <email>"]
    assert curated.manifest.counts["email_addresses_replaced"] == 1


@pytest.mark.usefixtures("ray_cluster")
def test_the_ledger_answers(dataset, config, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert curate.main(["--config", str(config), "--input", str(dataset), "--output", out]) == 0
    capsys.readouterr()
    assert ask_ledger([out, "--address", "https://x.org/wide"]) == 0
    shown = capsys.readouterr().out
    assert "image 0 https://x.org/4.jpg: dropped: aspect_over, 3.2 where 2 is the bound" in shown
    assert "document https://x.org/wide: dropped: media_under, 0 where 1 is the bound" in shown
    assert ask_ledger([out, "--kind", "document", "--reason", "same_text"]) == 0
    assert "document https://x.org/copy: dropped: same_text (duplicates), a copy of" in capsys.readouterr().out
    assert ask_ledger([out, "--rule", "image.aspect.most=3.5", "--rule", "document.words.least=null"]) == 0
    rows = [[cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines()]
    # `wide` would have its picture again, and `short`, of whose words six are left, would stay.
    assert ["", "document", "kept", "5", "7", ""] in rows
    assert ["", "document", "media_under", "1", "0", ""] in rows
    assert ["", "document", "words_under", "1", "0", ""] in rows
    assert ["", "document", "same_text", "1", "1", ""] in rows
    assert ["", "image", "aspect_over", "1", "0", ""] in rows


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (["--address", "https://x.org/nowhere"], "https://x.org/nowhere is not in the ledger of"),
        (["--rule", "image.beauty.most=2"], "image.beauty is about a measure that was not taken; taken were"),
        (["--rule", "image.aspect=2"], "rule is 'image.aspect=2'; write document, paragraph or image, a measure"),
        (["--rule", "image.aspect.most=wide"], "rule is 'image.aspect.most=wide'; write"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_in_a_sentence(question, answer, tmp_path, capsys):
    write_dataset(tmp_path / "gathered", [page("a", Text(text=STORY), image(1))])
    out = str(tmp_path / "out")
    assert curate.main(["--input", str(tmp_path / "gathered"), "--output", out]) == 0
    capsys.readouterr()
    assert ask_ledger([out, *question]) == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith("error: ")
    assert answer in refusal
    assert refusal.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--document.words.least", "-1"], "error: document.words.least is -1; it must be from 0 to inf"),
        (["--image.aspect.most", "0.5"], "error: image.aspect.most is 0.5; it must be from 1 to inf"),
        (["--paragraph.beauty.least", "1"], "error: paragraph has the unknown rule 'beauty'; known are"),
        (["--copies.near_text", "0.2"], "near_text is 0.2; it must be from 0.5 to 1"),
        (["--input", "[]"], "error: input names no dataset; give one or more folders or addresses"),
        (["--order", "similarity"], "error: order is similarity and scoring.similarity names no model"),
        (["--phone_region", "xx"], "error: phone_region is 'xx'; it must be a code of ISO 3166"),
        (["--text.explicit_words", "/nowhere/words.txt"], "error: /nowhere/words.txt cannot be read"),
        (["--text.language_model", "/nowhere/lid.bin"], "error: /nowhere/lid.bin"),
        (["--input", "/nowhere"], "error: /nowhere has no manifest.json, so it is not a finished dataset"),
        (
            ["--document.common_word_ratio.least", "0.8"],
            "error: document.common_word_ratio needs a list of common words",
        ),
        (["--copies.benchmark_images", "/nowhere"], "error: benchmark_images /nowhere holds no file that ends in .jpg"),
        (["--scoring.similarity.model", "/nowhere"], "error: model '/nowhere' is no folder; give one"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(flags, sentence, tmp_path, capsys):
    write_dataset(tmp_path / "gathered", [page("a", Text(text=STORY), image(1))])
    argv = ["--input", str(tmp_path / "gathered"), "--output", str(tmp_path / "out"), *flags]
    assert curate.main(argv) == 2
    refusal = capsys.readouterr().err
    assert sentence in refusal
    assert refusal.count("\n") == 1
    assert not (tmp_path / "out").exists()  # it is not claimed with settings that are to be mended


@pytest.mark.usefixtures("ray_cluster")
def test_an_output_that_was_begun_otherwise_is_refused_in_a_sentence(tmp_path, capsys):
    write_dataset(tmp_path / "gathered", [page("a", Text(text=STORY), image(1))])
    argv = ["--input", str(tmp_path / "gathered"), "--output"]
    assert curate.main([*argv, str(tmp_path / "c")]) == 0
    capsys.readouterr()
    assert curate.main([*argv, str(tmp_path / "c"), "--image.aspect.most", "2"]) == 2
    assert "was begun with another image" in capsys.readouterr().err


@pytest.mark.usefixtures("ray_cluster")
def test_what_resembles_a_benchmark_leaves_and_is_named(dataset, tmp_path, capsys):
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "test-1.jpg").write_bytes(image(2).frames[0].data)
    out = str(tmp_path / "out")
    flags = ["--copies.benchmark_images", str(tmp_path / "benchmark")]
    assert curate.main(["--input", str(dataset), "--output", out, *flags]) == 0
    assert f"python -m pipeline.ledger {out} --reason benchmark_image" in capsys.readouterr().out
    assert {name for name, record in records(tmp_path / "out").items() if reasons(record)} == {"german"}
    assert ask_ledger([out, "--reason", "benchmark_image"]) == 0
    assert "image 0 https://x.org/2.jpg: dropped: benchmark_image (contamination)" in capsys.readouterr().out
    assert ask_ledger([out, "--reason", "benchmark_image", "--limit", "1"]) == 0
    assert "a copy of test-1.jpg" in capsys.readouterr().out
