"""What a run would take, said without starting it: with nothing downloaded, and with what cannot fit refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.command import InputError, run_command
from model.presets import PRESETS
from training.config import TrainingConfig
from training.dry_run import Costs, check_fits, check_memory, describe_time, find_costs, largest_work
from training.hardware import HardwareConfig
from training.memory import estimate_memory
from training.offload_config import OffloadConfig
from training.operations import Operations
from training.run import main
from training.skeleton import build_skeleton

RECIPES = Path(__file__).parents[2] / "recipes"


def read_recipe(name: str) -> TrainingConfig:
    configs = list[TrainingConfig]()
    assert run_command(TrainingConfig, configs.append, "", ["--config", str(RECIPES / f"{name}.yaml")]) == 0
    return configs[0]


@pytest.mark.parametrize("name", ["3b", "9b", "80b"])
def test_the_recipe_of_a_size_of_the_paper_is_its_preset(name: str):
    config = read_recipe(name)

    assert config.model == PRESETS[name]
    assert [dataset.weight for dataset in config.datasets.values()] == [1.0, 0.2, 0.2, 0.03]
    assert [dataset.batch for dataset in config.datasets.values()] == [256, 512, 512, 64]
    assert config.updates == 500_000


@pytest.mark.slow
def test_a_dry_run_of_the_papers_smallest_model_says_what_it_takes(capsys, tmp_path: Path):
    flags = ["--output", str(tmp_path / "run"), "--hardware.peak", "989", "--dry-run"]
    assert main(["--config", str(RECIPES / "3b.yaml"), *flags]) == 0

    printed = capsys.readouterr().out
    assert "1,157,898,288" in printed  # parameters of the gated blocks
    assert "2,816 pictures" in printed
    assert "500,000 updates would take" in printed
    assert "at 40% of 989 TFLOP/s each" in printed


def test_a_dry_run_starts_nothing_and_refuses_what_cannot_fit(make_config, capsys, tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    config: TrainingConfig = make_config(tmp_path / "run", gpu=True, hardware=HardwareConfig(peak=0.5, gpu_memory=1e-3))
    recipe.write_text(json.dumps(dataclasses.asdict(config)))  # JSON is YAML

    assert main(["--config", str(recipe), "--hardware.gpu_memory", "1", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "33 pictures" in printed
    assert "4 updates would take" in printed
    assert main(["--config", str(recipe), "--dry-run"]) == 2
    refused = capsys.readouterr().err
    assert "error: the run needs" in refused
    assert "and they have 1.0 MB (hardware.gpu_memory); choose more workers" in refused
    assert main(["--config", str(recipe)]) == 2  # not only in a dry run
    assert "and they have 1.0 MB (hardware.gpu_memory)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_be_rehearsed_is_let_through(make_config, tmp_path: Path, caplog):
    config: TrainingConfig = make_config(tmp_path, gpu=True, hardware=HardwareConfig(gpu_memory=1e-3))
    missing = dataclasses.replace(config.model, language=str(tmp_path / "none"))

    check_fits(dataclasses.replace(config, model=missing))
    assert "whether the run fits its GPUs is not known: language is" in caplog.text


def test_what_is_not_known_to_be_too_large_is_let_through():
    config = read_recipe("3b")
    memory = {"activations": 10**12}

    check_memory(memory, config)  # of unknown GPUs
    check_memory(memory, dataclasses.replace(config, gpu=False, hardware=HardwareConfig(gpu_memory=1)))
    with pytest.raises(InputError, match=r"needs 1,000\.0 GB on each"):
        check_memory(memory, dataclasses.replace(config, hardware=HardwareConfig(gpu_memory=999)))


def test_the_work_of_an_update_is_what_its_settings_allow(make_config: Callable[..., TrainingConfig], tmp_path: Path):
    # 4 pages of 24 tokens and 5 images, 5 pairs and 1 film of 12 tokens, the film of 8 frames.
    work = largest_work(make_config(tmp_path))

    assert work.tokens == 4 * 24 + 6 * 12
    assert work.squares == 4 * 24**2 + 6 * 12**2
    assert work.targets == 4 * 23 + 6 * 11
    assert (work.media, work.frames) == (4 * 5 + 5 + 1, 4 * 5 + 5 + 8)


def test_the_time_is_the_operations_over_what_all_workers_can_do(make_config: Callable[..., TrainingConfig], tmp_path):
    config = make_config(tmp_path, updates=1000, workers=4, hardware=HardwareConfig(peak=2, utilisation=0.5))
    each = Operations(token=1e12, square=0, target=0, medium=0, frame=0)
    costs = Costs(parameters={}, memory={}, work=largest_work(config), operations=each)

    assert costs.days(config, 2e12) * 24 * 3600 == pytest.approx(1000 * 168 / (4 * 2 * 0.5))
    assert "1,000 updates would take 12 hours on 4 workers, at 50% of 2 TFLOP/s each" in describe_time(costs, config)
    unknown = dataclasses.replace(config, hardware=HardwareConfig())
    assert "say what one can do with --hardware.peak" in describe_time(costs, unknown)


def test_more_workers_share_weights_and_states_but_not_what_each_gathers(make_config, tmp_path: Path):
    config: TrainingConfig = make_config(tmp_path)
    skeleton = build_skeleton(config.model)
    few, many = (estimate_memory(skeleton, dataclasses.replace(config, workers=number)) for number in (1, 4))

    for part in ("frozen weights", "trained weights", "gradients", "optimiser"):
        assert few[part] == pytest.approx(4 * many[part], abs=4)
    assert few["gathered weights"] == many["gathered weights"]
    offloaded = estimate_memory(skeleton, dataclasses.replace(config, offload=OffloadConfig(optimizer="cpu")))
    assert offloaded["optimiser"] == offloaded["gradients"] == 0


def test_a_backbone_without_a_config_is_refused(make_config: Callable[..., TrainingConfig], tmp_path: Path):
    config = make_config(tmp_path)
    missing = dataclasses.replace(config.model, language=str(tmp_path / "none"))

    with pytest.raises(InputError, match=r"model\.language is '.*none', whose config cannot be read"):
        find_costs(dataclasses.replace(config, model=missing))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"gpu_memory": -1.0}, "gpu_memory is -1.0; it must be a finite number of at least 0"),
        ({"peak": float("inf")}, "peak is inf; it must be a finite number of at least 0"),
        ({"utilisation": 0.0}, "utilisation is 0.0; it must be greater than 0, and at most 1"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, float], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        HardwareConfig(**changes)
