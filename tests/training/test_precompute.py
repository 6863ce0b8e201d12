"""Features computed ahead by Ray Data: training on them has the losses of training on pictures."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from gates import open_gates
from safetensors.torch import load_file
from squares import document, film, page, pair, write_dataset

from jobs.command import InputError
from model.flamingo import Flamingo
from shards.dataset import open_dataset
from shards.document import Frame, Media, Text
from shards.errors import DatasetError
from shards.location import locate
from training.config import DatasetConfig, MeasuresConfig, TrainingConfig
from training.controls import blank, shuffle
from training.data.features import Eye, Features, features_folder, written_features
from training.data.mixture import LoadedBatch, Part, load_updates
from training.data.pictures import Canvas
from training.data.vocabulary import vocabulary_of
from training.log import read_log
from training.micro_batches import split_batch
from training.precompute import precompute
from training.run import run
from training.seeing import VisionActor, Work, eye_of

pytestmark = pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.")
BROKEN = Media(kind="image", frames=(Frame(data=b"no picture", format="png", width=1, height=1),))


@pytest.fixture(scope="module")
def config(ray_cluster, make_config: Callable[..., TrainingConfig], tmp_path_factory) -> TrainingConfig:
    """Of a run on pages, pairs and films whose features have been computed; one pair and one page are broken."""
    folder = tmp_path_factory.mktemp("precomputed")
    pages = [*(page(n) for n in range(7)), document(7, *page(7).blocks, BROKEN, Text(text="here is a square ."))]
    pairs = [document(1000, BROKEN, Text(text="a square")), *(pair(number) for number in range(1, 9))]
    films = [film(number) for number in range(3)]
    datasets = {
        "pages": DatasetConfig(
            uri=write_dataset(folder / "pages", pages, chunks=2), kind="interleaved", batch=4, max_text=12
        ),
        "pairs": DatasetConfig(
            uri=write_dataset(folder / "pairs", pairs),
            kind="pair",
            batch=5,
            max_text=12,
            row_tokens=24,
            flip_chance=0.0,
            colour_jitter=0.0,
        ),
        "films": DatasetConfig(uri=write_dataset(folder / "films", films), kind="video", batch=2, max_text=12),
    }
    config = dataclasses.replace(make_config(folder / "output"), datasets=datasets, precomputed=True)
    precompute(config)
    return config


@pytest.fixture(scope="module")
def flamingo(config: TrainingConfig) -> Flamingo:
    """With open gates."""
    torch.manual_seed(3)
    return open_gates(Flamingo.from_backbones(config.model))


def load(config: TrainingConfig, flamingo: Flamingo, updates: int, **changes) -> list[LoadedBatch]:
    here = dataclasses.replace(config, **changes)
    canvas, part = Canvas(size=flamingo.image_size, mean=flamingo.image_mean), Part(rank=0, world=1)
    eye = eye_of(flamingo.vision, flamingo.fingerprints["vision"], here) if here.precomputed else None
    given = dict.fromkeys(here.datasets, 0)
    with load_updates(here, vocabulary_of(flamingo.tokenizer), canvas, given=given, part=part, eye=eye) as loaded:
        return [batch for update in islice(loaded, updates) for batch in update.values()]


@pytest.mark.parametrize("decoders", [0, 1])
@torch.no_grad()
def test_losses_are_those_of_the_pictures(config: TrainingConfig, flamingo: Flamingo, decoders: int):
    seen = load(config, flamingo, 4, decoders=decoders, precomputed=False)
    ahead = load(config, flamingo, 4, decoders=decoders)

    for one, other in zip(seen, ahead, strict=True):
        assert other.given == one.given
        assert other.bad == one.bad
        assert other.batch.features is not None
        assert other.batch.pixels.numel() == 0
        losses = [flamingo(loaded.batch, loss=True) for loaded in (one, other)]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-5)
    assert any(loaded.bad for loaded in seen)  # the broken pair was passed over


@torch.no_grad()
def test_features_go_wherever_pictures_go(config: TrainingConfig, flamingo: Flamingo):
    pictures, features = (load(config, flamingo, 1, decoders=0, precomputed=ahead)[1].batch for ahead in (False, True))

    for change in (lambda batch: split_batch(batch, 2)[1], shuffle, lambda batch: blank(batch, flamingo)):
        seen, ahead = change(pictures), change(features)
        torch.testing.assert_close(flamingo(ahead, loss=True), flamingo(seen, loss=True), rtol=1e-5, atol=1e-5)


def test_files_are_safetensors_with_what_the_encoder_gives(config: TrainingConfig, flamingo: Flamingo):
    eye = eye_of(flamingo.vision, flamingo.fingerprints["vision"], config)
    dataset = open_dataset(config.datasets["pairs"].uri)
    (shard,) = dataset.manifest.shards
    found = load_file(Path(features_folder(dataset, eye).path) / f"{shard.name}.safetensors")

    assert found["features"].shape == (9, 5, 32)
    assert found["flaws"].tolist() == [2, *[0] * 8]
    assert not found["features"][0].any()
    assert found["documents"].tolist() == dataset.shard_rows(shard.name)[0].tolist()
    assert found["first"].tolist() == list(range(9))
    assert not found["features"][1:].isnan().any()
    torch.testing.assert_close(found["features"][1], found["features"][5])  # both are of a green square


def test_a_second_call_computes_what_is_missing(config: TrainingConfig, flamingo: Flamingo, capsys):
    eye = eye_of(flamingo.vision, flamingo.fingerprints["vision"], config)
    folder = Path(features_folder(open_dataset(config.datasets["pages"].uri), eye).path)
    first, second = sorted(folder.glob("*.safetensors"))
    times = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()

    stale = next((folder.parents[2] / "films").glob("features/*/*.safetensors"))
    whole = stale.read_bytes()
    sha256 = open_dataset(config.datasets["films"].uri).manifest.shards[0].sha256.encode()
    stale.write_bytes(whole.replace(sha256, b"0" * 64))  # of the shard as it was before a takedown

    precompute(config)

    assert stale.read_bytes() == whole
    assert (first.stat().st_mtime_ns, second.read_bytes()) == times
    printed = capsys.readouterr().out
    assert "pictures of 1 shards became" in printed
    assert "films: 30 pictures of 1 shards" in printed
    assert "pairs: 0 pictures of 0 shards" in printed


def test_a_worker_with_another_encoder_than_the_drivers_writes_nothing(config: TrainingConfig, tmp_path: Path):
    dataset = open_dataset(config.datasets["pairs"].uri)
    features = Features(folder=locate(str(tmp_path)) / "features" / "another", dtype="F32", space=1, width=1)
    actor = VisionActor(config, [Work(dataset=dataset, shard=dataset.manifest.shards[0], features=features)])
    assert "has loaded another vision encoder" in actor({"id": 0})["failure"]
    assert not list(tmp_path.rglob("*"))


def test_gpus_that_are_not_there_are_refused(config: TrainingConfig, tmp_path: Path):
    films = dataclasses.replace(config.datasets["films"], uri=write_dataset(tmp_path / "films", [film(1)]))
    with pytest.raises(InputError, match="gpu is true, and Ray knows of no GPU"):
        precompute(dataclasses.replace(config, gpu=True, datasets={"films": films}))


def test_what_is_not_there_or_of_another_state_is_refused(config: TrainingConfig, flamingo: Flamingo, tmp_path: Path):
    copy = shutil.copytree(config.datasets["films"].uri, tmp_path / "films")
    films = {"films": dataclasses.replace(config.datasets["films"], uri=str(copy))}
    with pytest.raises(DatasetError, match=r"dataset films has no features of this vision encoder in .*precompute"):
        load(config, flamingo, 1, datasets=films, precision="bf16")

    (manifest,) = copy.glob("features/*/manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "dataset": "0"}))
    with pytest.raises(DatasetError, match="dataset films has changed since its features in"):
        load(config, flamingo, 1, datasets=films)


def test_configs_that_change_pictures_or_the_encoder_are_refused(config: TrainingConfig):
    pairs = dataclasses.replace(config.datasets["pairs"], flip_chance=0.5)
    with pytest.raises(
        ValueError, match=r"dataset pairs changes its pictures: flip_chance is 0\.5 and colour_jitter 0"
    ):
        dataclasses.replace(config, datasets={"pairs": pairs})
    trained = dataclasses.replace(config.model, vision_frozen=False)
    with pytest.raises(ValueError, match=r"precomputed is true, and model\.vision_frozen false"):
        dataclasses.replace(config, model=trained)
    with pytest.raises(InputError, match=r"model\.vision_frozen is false, and features of an encoder"):
        precompute(dataclasses.replace(config, model=trained, precomputed=False))


def test_the_key_depends_on_all_that_features_do():
    grey = 0.5, 0.5, 0.5
    eye = Eye(fingerprint="a", class_token=True, canvas=Canvas(size=8, mean=grey), deviation=grey, dtype="F32")
    others = [
        dataclasses.replace(eye, fingerprint="b"),
        dataclasses.replace(eye, class_token=False),
        dataclasses.replace(eye, canvas=Canvas(size=16, mean=grey)),
        dataclasses.replace(eye, deviation=(0.5, 0.5, 0.25)),
        dataclasses.replace(eye, dtype="BF16"),
    ]
    assert len({one.key for one in (eye, *others)}) == 6
    assert dataclasses.replace(eye).key == eye.key


def test_a_shard_of_another_number_of_frames_is_refused(tmp_path: Path):
    like = Features(folder=locate(str(tmp_path)), dtype="BF16", space=2, width=3)
    dataset = open_dataset(write_dataset(tmp_path / "pairs", [pair(1), pair(2)]))
    places, frames = np.array([0, 512]), np.array([2, 1])
    with (
        pytest.raises(DatasetError, match="2 frames came, and the shard's index says 3"),
        written_features(tmp_path / "f", dataset.manifest.shards[0], places, frames, like) as add,
    ):
        add(b"\0" * 2 * 2 * 3 * 2, [0, 0])


@pytest.mark.slow
def test_a_run_on_features_has_the_losses_of_one_on_pictures(config: TrainingConfig, tmp_path: Path):
    changes = {"updates": 3, "measures": MeasuresConfig(controls_every=3)}
    ahead = dataclasses.replace(config, output=str(tmp_path / "ahead"), **changes)
    seen = dataclasses.replace(ahead, output=str(tmp_path / "seen"), precomputed=False)
    for one in (ahead, seen):
        run(one)

    records, expected = (read_log(Path(one.output)) for one in (ahead, seen))
    for record, other in zip(records, expected, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert record["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
    assert records[2]["blind_loss"] == pytest.approx(expected[2]["blind_loss"], abs=1e-5)
    assert "vision" not in records[0]["phase_seconds"]
    assert "vision" in expected[0]["phase_seconds"]
