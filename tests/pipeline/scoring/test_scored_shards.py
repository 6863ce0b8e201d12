"""What models say of the images of a few documents, against transformers' own ways and against values by hand."""

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, pipeline

from pipeline.scoring.config import ClassifierConfig, DetectorConfig, ScoringConfig, SimilarityConfig, measures_of
from pipeline.scoring.images import covered
from pipeline.scoring.revisions import pin_models
from pipeline.scoring.shard import open_models, score_documents
from shards.document import Document

CPU = torch.device("cpu")


def scores(config: ScoringConfig, documents: list[Document]) -> tuple[dict[tuple[Any, ...], float], Counter[str]]:
    """The scores by key, medium, name and paragraph, and what was counted."""
    counts = Counter[str]()
    made = list(score_documents(open_models(pin_models(config), CPU), documents, counts))
    found = {(score.key, score.medium, score.name, score.paragraph): score.value for score in made}
    assert len(found) == len(made)
    return found, counts


def images(document: Document) -> list[Image.Image]:
    return [Image.open(io.BytesIO(media.frames[0].data)) for media in document.media]


def test_probabilities_are_those_of_transformers_own_pipeline(tiny_model, make_document):
    documents = [make_document(0, [1, "one", 2]), make_document(1, ["none"]), make_document(2, [3])]
    config = ClassifierConfig(model=tiny_model("classifier"), measures={"nsfw": ["porn", "hentai"]})
    found, counts = scores(ScoringConfig(classifiers=[config], batch=2), documents)
    classify = pipeline("image-classification", model=tiny_model("classifier"), device="cpu")
    values = list[float]()
    for document in documents:
        for medium, image in enumerate(images(document)):
            expected = 1 - {answer["label"]: answer["score"] for answer in classify(image)}["neutral"]
            assert found[document.key, medium, "nsfw", None] == pytest.approx(expected, abs=1e-5)
            values.append(expected)
    assert max(values) - min(values) > 0.001, "the tiny model says the same of all, so this test could not fail"
    assert counts == {"images": 3}


@pytest.mark.parametrize(
    ("model", "nsfw", "hentai"),
    [("constant", 5 / 6, 3 / 6), ("many-labels", 3 / 4, 3 / 4)],
    ids=["labels that exclude each other add up", "of independent labels the largest"],
)
def test_probabilities_by_hand(tiny_model, make_document, model, nsfw, hentai):
    document = make_document(0, [1])
    config = ClassifierConfig(model=tiny_model(model), measures={"nsfw": ["porn", "hentai"], "drawn": ["hentai"]})
    found, _ = scores(ScoringConfig(classifiers=[config]), [document])
    assert found == {
        (document.key, 0, "unscored", None): 0,
        (document.key, 0, "nsfw", None): pytest.approx(nsfw),
        (document.key, 0, "drawn", None): pytest.approx(hentai),
    }


@pytest.mark.parametrize(
    ("label", "least", "number", "area"),
    [("face", 0.5, 3, 0.25), ("face", 0.9, 0, 0), ("cat", 0.0, 0, 0)],
)
def test_detections_by_hand(tiny_model, make_document, label, least, number, area):
    document = make_document(0, ["text", 1])
    config = DetectorConfig(model=tiny_model("detector"), measure="found", labels=[label], least_score=least)
    found, _ = scores(ScoringConfig(detectors=[config]), [document])
    assert found[document.key, 0, "found", None] == number
    assert found[document.key, 0, "found_area", None] == pytest.approx(area, abs=0.02)  # 30 rows have no middle half


def test_area_counts_overlaps_once_and_stays_in_the_picture():
    boxes = np.array([[0.0, 0.0, 5.0, 10.0], [2.0, 0.0, 6.0, 10.0], [-5.0, -5.0, 1.0, 1.0], [8.0, 8.0, 40.0, 40.0]])
    assert covered(boxes, (10, 10)) == (60 + 4) / 100
    assert covered(np.array([]), (10, 10)) == 0


def clip_similarity(folder: str, image: Image.Image, text: str) -> float:
    """By the model's own forward pass, of one image and one text at a time, without padding."""
    model = AutoModel.from_pretrained(folder)
    pixels = AutoImageProcessor.from_pretrained(folder)(images=image, return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", truncation=True, max_length=8)
    with torch.inference_mode():
        return float(model(**pixels, **tokens).logits_per_image / model.logit_scale.exp())


def test_similarities_are_those_of_the_model_to_each_paragraph(tiny_model, make_document):
    texts = ["a red sky", "blue picture", "green green green sky"]
    document = make_document(0, [f"{texts[0]}\n\n{texts[1]}", 1, texts[2], 2])
    config = ScoringConfig(similarity=SimilarityConfig(model=tiny_model("clip")), batch=2)
    found, counts = scores(config, [make_document(9, [5, "a red sky"]), document])
    for medium, image in enumerate(images(document)):
        for number, text in enumerate(texts):
            expected = clip_similarity(tiny_model("clip"), image, text)
            assert found[document.key, medium, "similarity", number] == pytest.approx(expected, abs=1e-5)
    assert counts == {"images": 3, "texts": 4, "texts_cut": 0}


def test_only_paragraphs_nearby_are_compared_if_asked(tiny_model, make_document):
    document = make_document(0, ["a\n\nred", 1, "sky\n\nblue", 2])
    config = ScoringConfig(similarity=SimilarityConfig(model=tiny_model("clip"), nearby=1))
    found, _ = scores(config, [document])
    pairs = [(medium, paragraph) for _, medium, name, paragraph in found if name == "similarity"]
    assert pairs == [(0, 1), (0, 2), (1, 3)]


def test_a_long_text_is_cut_and_counted(tiny_model, make_document):
    words = "a picture of the red sky of blue"  # six have room between the first and the last token
    document = make_document(0, [1, words, "a red sky"])
    found, counts = scores(ScoringConfig(similarity=SimilarityConfig(model=tiny_model("clip"))), [document])
    cut = clip_similarity(tiny_model("clip"), images(document)[0], " ".join(words.split()[:6]))
    assert found[document.key, 0, "similarity", 0] == pytest.approx(cut, abs=1e-5)
    assert counts == {"images": 1, "texts": 2, "texts_cut": 1}


def test_a_picture_that_cannot_be_decoded_costs_itself_alone(tiny_model, make_document):
    document = make_document(0, [1, -1, "text", 2])
    config = ScoringConfig(
        classifiers=[ClassifierConfig(model=tiny_model("constant"), measures={"nsfw": ["porn"]})],
        similarity=SimilarityConfig(model=tiny_model("clip")),
    )
    found, counts = scores(config, [document, make_document(1, [-1, "alone"])])
    assert counts == {"images": 2, "unscored": 2, "texts": 1, "texts_cut": 0}
    assert [found[document.key, medium, "unscored", None] for medium in range(3)] == [0, 1, 0]
    assert {medium for _, medium, name, _ in found if name != "unscored"} == {0, 2}
    assert {name for _, _, name, _ in found} == set(measures_of(config))


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_scores_depend_little_on_the_batch(tiny_model, make_document, batch):
    documents = [make_document(number, [number, "a red sky", number + 10, "blue"]) for number in range(4)]
    config = {
        "classifiers": [ClassifierConfig(model=tiny_model("classifier"), measures={"nsfw": ["porn"]})],
        "detectors": [DetectorConfig(model=tiny_model("detector"), measure="faces", labels=["face"])],
        "similarity": SimilarityConfig(model=tiny_model("clip")),
    }
    one, _ = scores(ScoringConfig(**config, batch=7), documents)
    other, _ = scores(ScoringConfig(**config, batch=batch), documents)
    assert one == pytest.approx(other, abs=1e-5)
