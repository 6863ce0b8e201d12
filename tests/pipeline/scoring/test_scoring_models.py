"""Models that cannot be used, each refused in one sentence, and what a config may say."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ViTImageProcessorPil

from pipeline.scoring.config import ClassifierConfig, DetectorConfig, ScoringConfig, SimilarityConfig, measures_of
from pipeline.scoring.revisions import ModelError, find_revision, pin_models
from pipeline.scoring.shard import open_models

CPU = torch.device("cpu")


def classifier(model: str | Path, *labels: str) -> ScoringConfig:
    labels = labels or ("porn",)
    return ScoringConfig(classifiers=[ClassifierConfig(model=str(model), measures={"nsfw": list(labels)})])


def refusal(config: ScoringConfig) -> str:
    with pytest.raises(ModelError) as refused:
        open_models(pin_models(config), CPU)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.fixture
def broken(tiny_model, tmp_path) -> Path:
    """A copy of a good classifier, to be broken."""
    return Path(shutil.copytree(tiny_model("classifier"), tmp_path / "broken"))


def test_a_folder_that_does_not_exist():
    assert refusal(classifier("/no/such/folder")) == (
        "model '/no/such/folder' is no folder; give one, or a name on the Hugging Face hub: owner/model"
    )


def test_weights_that_are_no_safetensors(broken):
    (broken / "model.safetensors").unlink()
    (broken / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    assert "cannot be loaded: Error no file named model.safetensors found" in refusal(classifier(broken))


def test_weights_that_are_cut(broken):
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert refusal(classifier(broken)).startswith(f"model '{broken}' cannot be loaded: ")


def test_a_config_that_is_none(broken):
    (broken / "config.json").write_text("{")
    assert refusal(classifier(broken)).startswith(f"model '{broken}' cannot be loaded: ")


def test_a_model_without_a_processor(broken):
    (broken / "preprocessor_config.json").unlink()
    assert refusal(classifier(broken)).startswith(f"model '{broken}' cannot be loaded: Can't load image processor")


def test_a_model_that_would_be_random_in_part(tiny_model):
    assert refusal(classifier(tiny_model("headless"))) == (
        f"model '{tiny_model('headless')}' lacks 2 of the weights of a ViTForImageClassification, such as "
        "classifier.bias; give a model that was trained for this"
    )


def test_a_label_that_the_model_lacks(tiny_model):
    folder = tiny_model("classifier")
    assert refusal(classifier(folder, "porn", "sexy")) == (
        f"model '{folder}' has no label 'sexy'; it has hentai, neutral, porn"
    )


def test_a_model_of_another_kind(tiny_model):
    folder = tiny_model("classifier")
    detector = DetectorConfig(model=folder, measure="faces", labels=["face"])
    assert refusal(ScoringConfig(detectors=[detector])).startswith(
        f"model '{folder}' cannot be loaded: Unrecognized configuration class"
    )
    folder = tiny_model("headless")
    similarity = SimilarityConfig(model=folder)
    assert refusal(ScoringConfig(similarity=similarity)) == (
        f"model '{folder}' is a ViTModel, which lacks get_image_features or get_text_features; give one like CLIP"
    )


def test_a_model_without_a_tokenizer(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("clip"), tmp_path / "clip")
    (folder / "tokenizer.json").unlink()
    assert refusal(ScoringConfig(similarity=SimilarityConfig(model=str(folder)))).startswith(
        f"model '{folder}' cannot be loaded: "
    )


@pytest.mark.parametrize("name", ["classifier", "clip"])
def test_weights_that_are_no_numbers(tiny_model, tmp_path, name):
    folder = shutil.copytree(tiny_model(name), tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor * float("nan") for name, tensor in weights.items()}, folder / "model.safetensors")
    similarity = ScoringConfig(similarity=SimilarityConfig(model=str(folder)))
    config = similarity if name == "clip" else classifier(folder)
    assert refusal(config) == f"model '{folder}' gives [nan] for a picture; its weights are broken"


def test_a_processor_of_another_model(broken):
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(broken)
    assert refusal(classifier(broken)) == (
        f"model '{broken}' fails on a picture: Input image size (32*32) doesn't match model (16*16)"
    )


def test_a_folder_is_known_by_what_is_in_it(broken, tiny_model):
    config = classifier(broken).classifiers[0]
    before = find_revision(config)
    assert before == find_revision(classifier(tiny_model("classifier")).classifiers[0])
    (broken / "config.json").write_text((broken / "config.json").read_text() + " ")
    assert find_revision(config) != before


def test_a_name_on_the_hub_that_cannot_be_asked_for(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert refusal(classifier("nobody/no-model-of-this-name")).startswith(
        "model 'nobody/no-model-of-this-name' cannot be loaded: "
    )


def test_a_name_on_the_hub_is_pinned_to_the_commit_that_its_branch_has(tiny_model, tmp_path, monkeypatch):
    commit, repository = "5f1c" * 10, tmp_path / "models--owner--model"
    shutil.copytree(tiny_model("constant"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    pinned = pin_models(classifier("owner/model"))
    assert (pinned.classifiers[0].model, pinned.classifiers[0].revision) == ("owner/model", commit)
    assert len(open_models(pinned, CPU).scorers) == 1
    (repository / "refs" / "main").unlink()
    assert open_models(pinned, CPU).config == pinned, "what is pinned needs no branch"


def test_a_folder_is_named_by_its_whole_path(broken, monkeypatch):
    monkeypatch.chdir(broken.parent)
    assert pin_models(classifier("broken")) == pin_models(classifier(broken))


def test_a_folder_that_changed_meanwhile(broken):
    pinned = pin_models(classifier(broken))
    (broken / "config.json").write_text((broken / "config.json").read_text() + " ")
    with pytest.raises(ModelError, match=r"^model '.*' is not the same on each node; copy its folder again$"):
        open_models(pinned, CPU)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScoringConfig(batch=0), "scoring.batch is 0; it must be 1 or greater"),
        (lambda: ClassifierConfig(model="m", measures={}), "measures of 'm' is {}; it must name measures, each with"),
        (lambda: ClassifierConfig(model="m", measures={"a": []}), "measures of 'm' is {'a': []}; it must name"),
        (lambda: DetectorConfig(model="m", measure="a", labels=[]), "labels of 'm' is empty; it must name what is"),
        (
            lambda: DetectorConfig(model="m", measure="a", labels=["b"], least_score=2),
            "least_score of 'm' is 2; it must be from 0 to 1",
        ),
        (lambda: SimilarityConfig(model="m", nearby=0), "nearby of 'm' is 0; it must be 1 or greater"),
        (
            lambda: ScoringConfig(classifiers=[ClassifierConfig(model="m", measures={"side": ["a"]})]),
            "scoring has two measures named 'side'; each needs a name of its own",
        ),
        (
            lambda: ScoringConfig(detectors=[DetectorConfig(model="m", measure="a", labels=["b"])] * 2),
            "scoring has two measures named 'a'; each needs a name of its own",
        ),
    ],
)
def test_configs_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("{", r"\{")):
        make()


def test_measures_are_declared_with_what_they_can_be():
    config = ScoringConfig(
        classifiers=[ClassifierConfig(model="n", measures={"porn": ["porn"], "nsfw": ["porn", "hentai"]})],
        detectors=[DetectorConfig(model="d", measure="faces", labels=["face"])],
        similarity=SimilarityConfig(model="c"),
    )
    ranges = {name: (measure.least, measure.most) for name, measure in measures_of(config).items()}
    inf = float("inf")
    assert ranges == {
        "porn": (0, 1),
        "nsfw": (0, 1),
        "faces": (0, inf),
        "faces_area": (0, 1),
        "similarity": (-1, 1),
        "unscored": (0, 1),
    }
    assert measures_of(ScoringConfig()) == {}
