"""Curation by what models say: images are dropped by their scores, and stand where they agree with a paragraph."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import curate
from pipeline.ledger import read_ledger
from pipeline.scoring.scores import read_scores
from shards.chunk import write_chunk
from shards.dataset import Dataset, open_dataset
from shards.document import Document, Text
from shards.location import locate
from shards.manifest import merge, read_commits, write_manifest

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def run(tmp_path, capsys) -> Callable[..., str]:
    """A function that curates documents into `out` by settings; it returns what was printed as an error."""

    def run(documents: Sequence[Document], **settings: Any) -> str:
        source = locate(str(tmp_path / "in"))
        write_chunk(source, "000000", lambda _: documents)
        write_manifest(source, merge("pipeline.web", {}, read_commits(source)))
        paths = {"input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(paths | settings))
        code = curate.main(["--config", str(tmp_path / "config.yaml")])
        error = capsys.readouterr().err if code else ""
        assert code in (0, 2), error
        return error.splitlines()[-1] if error else ""

    return run


def curated(tmp_path: Path) -> Dataset:
    return open_dataset(str(tmp_path / "out"))


def order(document: Document) -> list[str]:
    """Paragraphs, and pictures by the numbers in their bytes."""
    blocks = [
        block.text.split("\n\n") if isinstance(block, Text) else [block.frames[0].data] for block in document.blocks
    ]
    return [part if isinstance(part, str) else str(hash(part)) for block in blocks for part in block]


def test_images_leave_by_the_probability_of_labels(run, tiny_model, make_document, tmp_path):
    documents = [make_document(0, ["a", 1, "b", 2]), make_document(1, ["red", 3])]
    models = [{"model": tiny_model("constant"), "measures": {"nsfw": ["porn", "hentai"], "drawn": ["hentai"]}}]
    error = run(documents, scoring={"classifiers": models}, image={"drawn": {"most": 0.6}, "nsfw": {"most": 0.8}})
    assert error == ""
    assert curated(tmp_path).manifest.drops == {"image_nsfw_over": 3, "document_media_under": 2}
    (commit,) = read_commits(locate(str(tmp_path / "out")))
    entries = [
        entry
        for record in read_ledger(locate(str(tmp_path / "out")), commit)
        for entry in record.entries
        if entry.kind == "image"
    ]
    assert len(entries) == 3
    for entry in entries:
        assert entry.measures["drawn"] == pytest.approx(3 / 6)
        assert (entry.measure, entry.threshold) == (pytest.approx(5 / 6), 0.8)


def test_images_stand_before_the_paragraph_of_the_best_assignment(run, tiny_model, make_document, tmp_path):
    document = make_document(0, ["a picture\n\nred sky", 1, 2, "blue", 3, "the green of the sky\n\ngreen"])
    settings = {"scoring": {"similarity": {"model": tiny_model("clip")}}, "order": "similarity"}
    assert run([document], **settings) == ""
    (file,) = (tmp_path / "out" / "scores").iterdir()
    similarity = read_scores(locate(str(file))).of(document.key).similarity
    table = np.array([[similarity[image, text] for text in range(5)] for image in range(3)])
    best = max(itertools.permutations(range(5), 3), key=lambda places: table[range(3), places].sum())

    texts = ["a picture", "red sky", "blue", "the green of the sky", "green"]
    images = {place: order(document)[number] for place, number in zip(best, (2, 3, 5), strict=True)}
    expected = [
        part for place, text in enumerate(texts) for part in ([images[place]] if place in images else []) + [text]
    ]
    (found,) = curated(tmp_path).documents()
    assert order(found) == expected


def test_an_image_leaves_if_it_agrees_with_no_paragraph_that_is_left(run, tiny_model, make_document, tmp_path):
    document = make_document(0, ["a picture of the red sky", 1, 2, "blue", 3])
    settings = {"scoring": {"similarity": {"model": tiny_model("clip")}}, "paragraph": {"words": {"least": 2}}}
    assert run([document], **settings, image={"similarity": {"least": -1}}) == ""
    (file,) = (tmp_path / "out" / "scores").iterdir()
    similarity = read_scores(locate(str(file))).of(document.key).similarity
    to_the_long_one = sorted(similarity[image, 0] for image in range(3))
    (commit,) = read_commits(locate(str(tmp_path / "out")))
    (record,) = read_ledger(locate(str(tmp_path / "out")), commit)
    taken = [entry.measures["similarity"] for entry in record.entries if entry.kind == "image"]
    assert sorted(taken) == to_the_long_one


def test_a_model_that_cannot_be_loaded_is_one_sentence(run, tiny_model, make_document):
    folder = tiny_model("headless")
    models = [{"model": folder, "measures": {"nsfw": ["porn"]}}]
    assert run([make_document(0, ["a", 1])], scoring={"classifiers": models}) == (
        f"error: model '{folder}' lacks 2 of the weights of a ViTForImageClassification, such as classifier.bias; "
        "give a model that was trained for this"
    )
