"""Configs: every recipe is one, and a wrong value is refused in a sentence that names it."""

import dataclasses
from pathlib import Path

import pytest

from jobs.command import run_command
from model.flamingo import FlamingoConfig
from training.config import DatasetConfig, MeasuresConfig, TrainingConfig
from training.inputs import check_shares
from training.offload_config import OffloadConfig
from training.output import identity

DEMO = Path(__file__).parents[2] / "recipes" / "demo.yaml"
RECIPES = sorted(DEMO.parent.glob("*.yaml"))
CONFIG = TrainingConfig(
    output="run",
    model=FlamingoConfig(vision="v", language="l"),
    datasets={"m3w": DatasetConfig(uri="m3w", kind="interleaved")},
)


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_a_config(recipe: Path):
    configs = list[TrainingConfig]()

    assert run_command(TrainingConfig, configs.append, "", ["--config", str(recipe)]) == 0
    assert configs[0].datasets
    check_shares(configs[0])


def test_a_flag_changes_one_dataset_of_a_recipe(tmp_path: Path):
    configs = list[TrainingConfig]()
    flags = ["--config", str(DEMO), "--datasets.pairs.weight", "0.5", "--output", str(tmp_path)]

    assert run_command(TrainingConfig, configs.append, "", flags) == 0
    assert configs[0].datasets["pairs"].weight == 0.5
    assert configs[0].output == str(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"output": ""}, "output is empty"),
        ({"datasets": {}}, "datasets is empty; it must name at least 1 dataset"),
        ({"updates": 0}, "updates is 0; it must be at least 1"),
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"learning_rate": float("inf")}, "learning_rate is inf; it must be a finite number"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be at least 0"),
        ({"clip": 0.0}, "clip is 0.0; it must be greater than 0"),
        ({"trim_heap": -1}, "trim_heap is -1; it must be at least 0"),
        ({"trim_heap": 64, "gpu": True}, "trim_heap is 64, and gpu true: it is the memory of CPUs; set it to 0"),
        ({"limit": 0}, "limit is 0; it must be at least 1"),
        ({"decoders": -1}, "decoders is -1; it must be at least 0"),
        ({"prefetch": 0}, "prefetch is 0; it must be at least 1"),
        ({"skip_bad_shards": -1}, "skip_bad_shards is -1; it must be at least 0"),
        ({"z_loss": -1e-4}, "z_loss is -0.0001; it must be at least 0"),
        ({"vision_learning_rate": -1.0}, "vision_learning_rate is -1.0; it must be at least 0"),
        (
            {"measures": MeasuresConfig(gradients_every=5), "zero_stage": 2, "offload": OffloadConfig(optimizer="cpu")},
            "measures.gradients_every is 5, and with offload under zero_stage 2 the gradients of datasets cannot be",
        ),
    ],
)
def test_wrong_values_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(CONFIG, **changes)


def test_measures_and_loggers_are_set_in_files_and_flags(tmp_path: Path):
    configs, more = list[TrainingConfig](), tmp_path / "more.yaml"
    more.write_text("measures: {gradients_every: 7}\nloggers: [tensorboard, mlflow]\nobjective: merged\n")
    flags = ["--config", str(DEMO), "--config", str(more), "--measures.controls_every", "0"]

    assert run_command(TrainingConfig, configs.append, "", flags) == 0
    assert configs[0].measures == MeasuresConfig(controls_every=0, gradients_every=7)
    assert configs[0].loggers == ("tensorboard", "mlflow")
    assert configs[0].objective == "merged"
    with pytest.raises(ValueError, match="controls_every is -1; it must be at least 0"):
        MeasuresConfig(controls_every=-1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"uri": ""}, "uri is empty"),
        ({"weight": -1.0}, "weight is -1.0; it must be at least 0"),
        ({"weight": float("nan")}, "weight is nan; it must be a finite number"),
        ({"batch": 0}, "batch is 0; it must be at least 1"),
        ({"max_text": 1}, "max_text is 1; it must be at least 2"),
        ({"next_image_chance": 1.5}, "next_image_chance is 1.5; it must lie between 0 and 1"),
        ({"flip_chance": -0.5}, "flip_chance is -0.5; it must lie between 0 and 1"),
        ({"colour_jitter": 2.0}, "colour_jitter is 2.0; it must lie between 0 and 1"),
        ({"row_tokens": 100}, "row_tokens is 100; it must be 0, or at least max_text, 256"),
    ],
)
def test_wrong_values_of_a_dataset_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(CONFIG.datasets["m3w"], **changes)


def test_the_learning_rate_rises_from_zero_and_stays():
    config = dataclasses.replace(CONFIG, learning_rate=2.0, warmup=4)
    assert [config.learning_rate_at(update) for update in (1, 2, 4, 5, 100)] == [0.5, 1.0, 2.0, 2.0, 2.0]
    assert dataclasses.replace(config, warmup=0).learning_rate_at(1) == 2.0


def test_a_run_that_stopped_at_a_bound_may_go_on_with_another():
    more = dataclasses.replace(CONFIG.datasets["m3w"], max_bad_samples=99)
    raised = dataclasses.replace(CONFIG, datasets={"m3w": more}, skip_bad_shards=3)
    other = dataclasses.replace(CONFIG, datasets={"m3w": dataclasses.replace(more, flip_chance=0.0)})

    assert identity(raised) == identity(CONFIG)
    assert identity(other) != identity(CONFIG)
