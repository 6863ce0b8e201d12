"""Runs in which something breaks: workers that die, losses that are not numbers, disks that are full (slow)."""

import dataclasses
import functools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import odd_workers
import pytest
import torch
from optimizer_files import read_optimizer
from ray import cloudpickle
from ray.train import WorkerGroupError
from safetensors.torch import load_file

from jobs.command import InputError
from training import launch
from training.config import TrainingConfig
from training.log import read_log
from training.run import run

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\."),
    pytest.mark.slow,
]
cloudpickle.register_pickle_by_value(odd_workers)  # workers do not find the tests
UPDATES = 12


@pytest.fixture(scope="module")
def undisturbed(ray_cluster, make_config: Callable[..., TrainingConfig], tmp_path_factory) -> TrainingConfig:
    config = make_config(
        tmp_path_factory.mktemp("run") / "output", updates=UPDATES, checkpoint_every=4, learning_rate=3e-3
    )
    run(config)
    return config


@pytest.fixture
def work(monkeypatch, tmp_path: Path) -> Callable[[Callable, int], Path]:
    """A function that makes workers of runs to come do something odd; returns the file that is there when they did."""

    def set_function(function: Callable, update: int) -> Path:
        mark = tmp_path / "mark"
        odd = functools.partial(function, update=update, mark=mark)
        monkeypatch.setattr(launch, "train_in_worker", odd)
        return mark

    return set_function


def losses(config: TrainingConfig) -> list[dict[str, float]]:
    records = read_log(Path(config.output))
    assert [record["update"] for record in records] == list(range(1, UPDATES + 1))
    return [record["loss"] for record in records]


def state(config: TrainingConfig, update: int = UPDATES) -> dict[str, torch.Tensor]:
    """Adapters and optimiser of that update's checkpoint."""
    folder = Path(config.output, f"checkpoints/update-{update:09d}")
    return {**load_file(folder / "adapters/adapters.safetensors"), **read_optimizer(folder)}


def assert_equal(config: TrainingConfig, undisturbed: TrainingConfig) -> None:
    """To the bit."""
    assert losses(config) == losses(undisturbed)
    expected = state(undisturbed)
    for name, value in state(config).items():
        assert torch.equal(value, expected[name]), name


def assert_close(config: TrainingConfig, undisturbed: TrainingConfig) -> None:
    """To 1e-5."""
    assert losses(config) == [pytest.approx(loss, abs=1e-5) for loss in losses(undisturbed)]
    expected = load_file(Path(undisturbed.output, "adapters/adapters.safetensors"))
    for name, value in load_file(Path(config.output, "adapters/adapters.safetensors")).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=0, msg=name)


KILLS = [
    pytest.param(odd_workers.train_and_die_in_backward, 6, id="in backward"),
    pytest.param(odd_workers.train_and_die_at_checkpoint, 8, id="while a checkpoint is written"),
]


@pytest.mark.parametrize(("function", "update"), KILLS)
def test_workers_are_started_again_when_one_is_killed(undisturbed, work, tmp_path: Path, function, update: int):
    mark = work(function, update)
    config = dataclasses.replace(undisturbed, output=str(tmp_path / "output"), failures=1)

    run(config)

    assert mark.exists()
    assert_equal(config, undisturbed)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("function", "update"), KILLS)
def test_another_number_of_workers_goes_on(undisturbed, work, tmp_path: Path, function, update: int, workers: int):
    mark = work(function, update)
    config = dataclasses.replace(undisturbed, output=str(tmp_path / "output"))
    with pytest.raises(WorkerGroupError):
        run(config)
    assert mark.exists()
    whole = [path.parent.name for path in tmp_path.glob("output/checkpoints/*/manifest.json")]
    assert whole == ["update-000000004"]  # the second was not whole, or not begun

    run(dataclasses.replace(config, workers=workers))

    assert_close(config, undisturbed)


def test_a_run_without_gradients_stops_with_its_last_checkpoint(undisturbed, work, tmp_path: Path):
    mark = work(odd_workers.train_without_a_gradient, 6)
    config = dataclasses.replace(undisturbed, output=str(tmp_path / "output"), max_skipped=2)
    with pytest.raises(
        InputError, match=r"update 8, as 2 before it: no step was made, .* its samples: pages [0-9a-f]+"
    ):
        run(config)
    expected = state(undisturbed, 4)
    for name, value in state(config, 4).items():
        assert torch.equal(value, expected[name]), name

    mark.touch()
    run(config)

    assert_equal(config, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"only root may mount a small disk: {mount.stderr}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill_and_free(disk: Path, log: Path) -> None:
    """Fills the disk when the first checkpoint is there, and makes room when the next can no longer be written."""
    while not (disk / "update-000000004/manifest.json").exists():
        time.sleep(0.01)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    while not (records := read_log(log)) or records[-1]["update"] < UPDATES - 2:
        time.sleep(0.01)
    filler.unlink()


def test_a_run_outlives_a_full_disk_if_it_is_told_to(undisturbed, small_disk: Path, tmp_path: Path):
    output = tmp_path / "output"
    config = dataclasses.replace(
        undisturbed, output=str(output), checkpoints=str(small_disk), checkpoint_failure="go_on"
    )
    filler = threading.Thread(target=fill_and_free, args=(small_disk, output), daemon=True)
    filler.start()

    run(config)

    filler.join()
    assert sorted(path.name for path in small_disk.iterdir()) == ["update-000000004", "update-000000012"]
    assert losses(config) == losses(undisturbed)


def test_a_full_disk_is_a_sentence_and_the_checkpoint_before_stays(undisturbed, small_disk: Path, tmp_path: Path):
    config = dataclasses.replace(undisturbed, output=str(tmp_path / "output"), checkpoints=str(small_disk), limit=4)
    run(config)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(4 * 2**20 - sum(path.stat().st_size for path in small_disk.rglob("*")) - 200_000))

    with pytest.raises(InputError, match=r"checkpoint .*update-000000008 cannot be written: .*; the run's last whole"):
        run(config)

    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "update-000000004"]
    filler.unlink()
    run(dataclasses.replace(config, limit=None))
    assert losses(config) == losses(undisturbed)
