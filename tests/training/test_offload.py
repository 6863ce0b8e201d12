"""Parameters, moments and fp32 copies in files: the same updates, and checkpoints that any other run goes on from."""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from engine_workers import run_workers
from optimizer_files import read_optimizer

from jobs.command import InputError
from model.flamingo import Flamingo
from training import async_io, offload
from training.async_io import can_use_files
from training.config import TrainingConfig
from training.memory import estimate_files
from training.offload import own_folder
from training.offload_config import OffloadConfig

OPTIMIZER = OffloadConfig(optimizer="nvme", folder="each rank's own")
ALL = OffloadConfig(optimizer="nvme", parameters="nvme", folder="each rank's own")
CASES = {
    "in memory": {},
    "optimiser": {"offload": OPTIMIZER},
    "bf16 in memory": {"precision": "bf16"},
    "all": {"precision": "bf16", "offload": ALL},
    "on from memory": {"start": "two/in memory"},
    "from memory to files": {"start": "two/in memory", "offload": OPTIMIZER},
    "from files to memory": {"start": "two/optimiser"},
    "spoilt in memory": {"spoilt": 1},
    "spoilt": {"spoilt": 1, "offload": OPTIMIZER},
}
REFERENCE = {
    "optimiser": "in memory",
    "all": "bf16 in memory",
    "from memory to files": "on from memory",
    "from files to memory": "on from memory",
    "spoilt": "spoilt in memory",
}


@pytest.fixture(scope="module")
def config(make_config: Callable[..., TrainingConfig], tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """With a resampler that has tensors of a megabyte: smaller ones DeepSpeed keeps."""
    folder = tmp_path_factory.mktemp("offloaded")
    config = make_config(folder, updates=9, learning_rate=3e-3, warmup=3, decoders=0)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, resampler_width=512))


@pytest.fixture(scope="module")
def runs(config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases on two workers."""
    if not can_use_files():
        pytest.skip("DeepSpeed's async_io cannot be compiled here: it needs libaio's headers and a compiler")
    folder = tmp_path_factory.mktemp("runs") / "two"
    run_workers(2, folder, {**CASES}, config)
    return folder


@pytest.mark.slow  # the first run on a machine compiles for minutes
@pytest.mark.parametrize(("name", "reference"), REFERENCE.items())
def test_updates_are_those_of_a_run_in_memory(runs: Path, name: str, reference: str):
    found, expected = (json.loads((runs / one / "records.json").read_text()) for one in (name, reference))
    for record, other in zip(found, expected, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], abs=1e-6, nan_ok=True)
        assert record["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-5, nan_ok=True)
    state, wanted = (read_optimizer(next(iter((runs / one / "checkpoints").iterdir()))) for one in (name, reference))
    assert state.keys() == wanted.keys()
    for key, value in state.items():
        torch.testing.assert_close(value, wanted[key], atol=1e-6, rtol=0, msg=key)


@pytest.mark.slow
def test_what_is_offloaded_lies_in_files(runs: Path):
    def files(name: str, pattern: str) -> int:
        return len(list((runs / name / "files-0").rglob(pattern)))

    assert not (runs / "in memory/files-0").exists()
    assert files("optimiser", "*exp_avg_sq*.swp") > 0
    assert files("optimiser", "*_param.tensor.swp") == 0
    assert files("all", "*_param.tensor.swp") > 0


def test_a_workers_files_are_deleted_in_the_end(
    make_config: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = OffloadConfig(optimizer="nvme", folder=str(tmp_path / "disk"))
    config = make_config(tmp_path / "run", offload=files)
    monkeypatch.setattr(offload, "load_async_io", lambda: None)
    with own_folder(config, 1, 0) as folder:
        (folder / "left").mkdir()  # by a worker that is killed
    with own_folder(config, 1, 0) as again, own_folder(config, 0, 0) as other:
        assert again == folder != other
        assert list(again.iterdir()) == []
        (again / "file").touch()
    assert list((tmp_path / "disk").iterdir()) == []


def test_files_where_async_io_cannot_be_compiled_are_refused(
    make_config: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = make_config(tmp_path, offload=OffloadConfig(optimizer="nvme", folder=str(tmp_path)))
    monkeypatch.setattr(async_io, "can_use_files", lambda: False)
    with pytest.raises(InputError, match="install libaio's headers"), own_folder(config, 0, 0):
        pass


def test_a_compilation_that_was_killed_is_named(
    make_config: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setattr(async_io, "can_use_files", lambda: True)
    (tmp_path / "pin_memory").mkdir()
    (tmp_path / "pin_memory/lock").touch()
    config = make_config(tmp_path, offload=OffloadConfig(optimizer="nvme", folder=str(tmp_path)))
    with pytest.raises(InputError, match=r"pin_memory/lock is there.* delete that file"), own_folder(config, 0, 0):
        pass


def test_a_compilation_says_that_it_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setattr(async_io, "can_use_files", lambda: True)
    monkeypatch.setattr(async_io, "PATIENCE_SECONDS", 0.05)
    sentence = "compiling DeepSpeed's async_io takes minutes, once on each machine for an environment"
    for seconds, said in ((0.0, list[str]()), (0.5, [sentence])):
        builder = SimpleNamespace(load=lambda verbose, seconds=seconds: time.sleep(seconds))
        monkeypatch.setattr(async_io, "_builder", lambda builder=builder: builder)
        async_io.load_async_io()
        assert [record.message for record in caplog.records] == said


def test_files_that_a_disk_has_no_room_for_are_refused(
    make_config: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = make_config(tmp_path, offload=OffloadConfig(optimizer="nvme", folder=str(tmp_path / "disk")))
    monkeypatch.setattr(offload, "load_async_io", lambda: None)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    half = shutil.disk_usage(tmp_path).free // 2
    with own_folder(config, 0, half - 10**9):
        pass
    with (
        pytest.raises(InputError, match="bytes free, and the files of this node's workers"),
        own_folder(config, 0, half + 10**9),
    ):
        pass
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optimiser", "all"])
def test_files_have_the_size_that_is_reckoned_with(runs: Path, config: TrainingConfig, name: str):
    model = Flamingo.from_backbones(config.model)
    reckoned = estimate_files(model, dataclasses.replace(config, **CASES[name]), 2)
    for rank in (0, 1):
        written = sum(file.stat().st_size for file in (runs / name / f"files-{rank}").rglob("*.swp"))
        assert 0.9 * reckoned <= written <= 1.1 * reckoned


@pytest.mark.parametrize(
    ("stage", "config", "sentence"),
    [
        (3, OffloadConfig(parameters="nvme", folder="/local"), "precision is fp32, and offload.parameters nvme would"),
        (0, OffloadConfig(optimizer="cpu"), "zero_stage is 0, and offload.optimizer cpu with .* needs 2 or higher"),
        (2, OffloadConfig(parameters="cpu"), "zero_stage is 2, and .* offload.parameters cpu needs 3 or higher"),
        (2, OffloadConfig(optimizer="nvme", folder="/local"), "zero_stage is 2, and offload.optimizer nvme .* needs 3"),
        (3, OffloadConfig(optimizer="nvme"), "offload.folder is '', .* a folder is for what is kept on nvme"),
        (3, OffloadConfig(optimizer="cpu", folder="/local"), "offload.folder is '/local', offload.optimizer cpu"),
    ],
)
def test_what_no_stage_can_do_is_refused(
    stage: int, config: OffloadConfig, sentence: str, make_config: Callable[..., TrainingConfig], tmp_path: Path
):
    with pytest.raises(ValueError, match=sentence):
        make_config(tmp_path, zero_stage=stage, offload=config)
