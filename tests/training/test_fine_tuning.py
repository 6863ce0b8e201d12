"""Training that goes on from adapters, with the vision encoder trained too, on larger pictures."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine_workers import UPDATES, run_workers
from safetensors.torch import load_file

from jobs.command import InputError, run_command
from model.adapters import read_adapters
from model.config import FlamingoConfig
from model.flamingo import Flamingo
from training.config import TrainingConfig
from training.inputs import check_adapters
from training.run import run

RECIPE = Path(__file__).parents[2] / "recipes" / "fine_tune.yaml"
TUNED = {"stage 3": {}, "stage 2": {"zero_stage": 2}, "slow eyes": {"vision_learning_rate": 0.0}}


def adapters_of(run: Path) -> Path:
    """The folder of a run's one checkpoint's adapters."""
    (folder,) = run.glob("checkpoints/*/adapters")
    return folder


@pytest.fixture(scope="module")
def runs(
    make_config: Callable[..., TrainingConfig], backbones: FlamingoConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Adapters trained on one worker (one/frozen), and fine-tuned on one (one/whole) and on two."""
    folder = tmp_path_factory.mktemp("fine_tuning")
    adapters = folder / f"one/frozen/checkpoints/update-{UPDATES:09d}/adapters"
    model = dataclasses.replace(backbones, vision_frozen=False, image_size=24)
    config = make_config(folder, learning_rate=3e-3, warmup=0, decoders=0)
    tuned = dataclasses.replace(config, model=model, init_from=str(adapters))
    first = {"zero_stage": 0, "model": config.model, "init_from": ""}
    run_workers(1, folder / "one", {"frozen": first, "whole": {"zero_stage": 0}}, tuned)
    run_workers(2, folder / "two", {name: dict(changes) for name, changes in TUNED.items()}, tuned)
    return folder


def read(run: Path) -> tuple[list[dict], dict[str, torch.Tensor]]:
    return json.loads((run / "records.json").read_text()), load_file(adapters_of(run) / "adapters.safetensors")


@pytest.mark.parametrize("name", ["stage 3", "stage 2"])
def test_two_workers_tune_as_one_does(runs: Path, name: str):
    (records, state), (expected_records, expected) = read(runs / "two" / name), read(runs / "one" / "whole")

    for record, other in zip(records, expected_records, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert record["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
    assert state.keys() == expected.keys()
    for key, value in state.items():
        torch.testing.assert_close(value, expected[key], atol=1e-5, rtol=0, msg=key)


def test_the_vision_encoder_is_trained_at_its_own_rate_and_kept_with_the_adapters(runs: Path):
    tuned, unmoved = (adapters_of(runs / "two" / name) for name in ("stage 3", "slow eyes"))
    flamingo = Flamingo.from_pretrained(tuned)
    untuned = Flamingo.from_backbones(dataclasses.replace(flamingo.config, vision_frozen=True))
    loaded, left = dict(untuned.vision.named_parameters()), load_file(unmoved / "adapters.safetensors")
    seen = {name: value for name, value in flamingo.vision.named_parameters() if value.requires_grad}

    assert flamingo.image_size == 24
    assert all(not torch.equal(value, loaded[name]) for name, value in seen.items())
    assert all(torch.equal(left[f"vision.{name}"], loaded[name]) for name in seen)
    first = load_file(adapters_of(runs / "one/frozen") / "adapters.safetensors")
    assert not torch.equal(left["resampler.latents"], first["resampler.latents"])


def test_training_begins_where_the_adapters_ended(runs: Path, backbones: FlamingoConfig):
    model = dataclasses.replace(backbones, vision_frozen=False)
    folder = adapters_of(runs / "one/frozen")
    torch.manual_seed(5)
    flamingo = Flamingo.from_backbones(model)
    flamingo.begin_from(read_adapters(folder))
    state, before = flamingo.adapter_state_dict(), load_file(folder / "adapters.safetensors")

    assert {name for name in state if name not in before} == {name for name in state if name.startswith("vision.")}
    assert all(torch.equal(state[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("folder", "changes", "sentence"),
    [
        ("none", {}, r"init_from is '.*none': .*none holds no adapters"),
        ("adapters", {"latents": 5}, "were trained with latents 4, and this model has 5; make them the same"),
        ("adapters", {"activation": "gelu"}, "were trained with activation 'squared_relu', and this model has 'gelu'"),
    ],
)
def test_adapters_of_another_model_are_refused_before_any_worker_starts(
    runs: Path, make_config: Callable[..., TrainingConfig], folder: str, changes: dict, sentence: str
):
    config = make_config(runs / "output")
    model = dataclasses.replace(config.model, **changes)
    init_from = str(adapters_of(runs / "one/frozen").with_name(folder))
    with pytest.raises(InputError, match=sentence):
        check_adapters(dataclasses.replace(config, model=model, init_from=init_from))


@pytest.mark.slow
@pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.")
def test_the_recipe_runs(ray_cluster, runs: Path, make_config: Callable[..., TrainingConfig], tmp_path: Path):
    config = make_config(tmp_path / "output")
    shape = {
        f"--model.{name}": str(value)
        for name, value in dataclasses.asdict(config.model).items()
        if name not in ("vision_frozen", "image_size") and not isinstance(value, bool)
    }
    flags = {
        **shape,
        "--model.image_size": "24",
        "--init_from": str(adapters_of(runs / "one/frozen")),
        "--datasets.pairs.uri": config.datasets["pairs"].uri,
        "--output": config.output,
        "--updates": "2",
    }

    assert (
        run_command(
            TrainingConfig, run, "", ["--config", str(RECIPE), *(word for pair in flags.items() for word in pair)]
        )
        == 0
    )
    assert Flamingo.from_pretrained(Path(config.output) / "adapters").image_size == 24
