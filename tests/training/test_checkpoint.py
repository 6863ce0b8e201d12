"""Checkpoints on disk: which of them count, whose they are, what is checked before one is read, which are kept."""

import dataclasses
import itertools
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jobs.command import InputError
from shards.errors import DatasetError
from shards.location import Location, locate
from training.config import TrainingConfig
from training.manifest import (
    Checkpoint,
    check_files,
    commit_checkpoint,
    delete_unfinished,
    last_checkpoint,
    prune_checkpoints,
    whole_checkpoints,
)
from training.output import check_owner, identity
from training.parts import OptimizerParts, part_name, tensor_name
from training.plan import Progress, checkpoint_folder


def progress_at(update: int) -> Progress:
    return Progress(update=update, given={"pages": 4 * update}, datasets={"pages": "abc"})


@pytest.fixture(params=["folder", "bucket"])
def checkpoints(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where checkpoints may lie."""
    if request.param == "folder":
        return locate(str(tmp_path / "checkpoints"))
    request.getfixturevalue("bucket")
    return locate("s3://runs/checkpoints")


def write(checkpoints: Location, update: int, objective: float = 1.0, *, committed: bool = True) -> Location:
    folder = checkpoint_folder(checkpoints, update)
    files = {
        "adapters/adapters.safetensors": b"weights %d" % update,
        "optimizer/00000-of-00001.safetensors": b"moments %d" % update,
    }
    for name, data in files.items():
        (folder / name).write(data)
    if committed:
        sha256 = {name: (folder / name).sha256() for name in files}
        checkpoint = Checkpoint(progress=progress_at(update), objective=objective, run={}, files=sha256)
        commit_checkpoint(folder, checkpoint)
    return folder


def updates(checkpoints: Location) -> list[int]:
    return [int(folder.name.removeprefix("update-")) for folder in whole_checkpoints(checkpoints)]


def test_the_last_with_a_manifest_counts(checkpoints: Location):
    assert last_checkpoint(checkpoints) is None
    write(checkpoints, 5)
    write(checkpoints, 10, 0.25)
    write(checkpoints, 15, committed=False)  # killed before its manifest

    found = last_checkpoint(checkpoints)
    assert found
    assert found[0] == checkpoint_folder(checkpoints, 10)
    assert found[1].progress == progress_at(10)
    assert found[1].objective == 0.25
    assert found[1].files == {  # sha256sum
        "adapters/adapters.safetensors": "6bcd9b86c50c7963c5fc82961152ebab3be3f972dc59b0e8ab7b3fc1330ae676",
        "optimizer/00000-of-00001.safetensors": "53c30b7019fd86c4769f33b1bfbe77de818595572398ee0862a4b4e6aa36078a",
    }


def test_what_has_no_manifest_is_deleted_before_others_are_written(checkpoints: Location):
    write(checkpoints, 5)
    write(checkpoints, 10, committed=False)
    (checkpoints / "notes.txt").write(b"mine")
    delete_unfinished(checkpoints)
    assert (checkpoints.folders(), checkpoints.files()) == (["update-000000005"], ["notes.txt"])


def test_the_optimiser_is_put_together_from_the_parts_that_hold_it(checkpoints: Location, tmp_path: Path):
    folder = checkpoint_folder(checkpoints, 5)
    values = torch.arange(10.0)
    bounds = [0, 4, 8, 10]  # as three ranks hold 10 elements that are padded to 12
    for rank, (start, stop) in enumerate(pairwise(bounds)):
        piece = {tensor_name("gate", "exp_avg", start): values[start:stop]}
        with (folder / part_name(rank, 3)).written_whole() as path:
            save_file(piece, path)
    files = [part_name(rank, 3) for rank in range(3)]

    for elements, nearest in itertools.product([range(10), range(3, 9), range(4, 8), range(9, 9)], [0, 0.5, 0.99]):
        parts = OptimizerParts(folder, [*files, "adapters/config.json"], tmp_path, nearest=nearest)
        assert parts.read("gate", "exp_avg", elements).tolist() == list(map(float, elements))
    parts = OptimizerParts(folder, files, tmp_path, nearest=0)
    with pytest.raises(DatasetError, match=r"update-000000005 holds 8 of the 10 elements of gate \(exp_avg\)"):
        OptimizerParts(folder, files[:2], tmp_path, nearest=0).read("gate", "exp_avg", range(10))
    with pytest.raises(DatasetError, match=r"holds 0 of the 10 elements of gate \(master\).*; it is not of this model"):
        parts.read("gate", None, range(10))


@pytest.mark.parametrize("data", [b"moments 11", b"moments", b"", None])
def test_a_changed_or_missing_file_is_named(checkpoints: Location, data: bytes | None):
    part = write(checkpoints, 10) / "optimizer/00000-of-00001.safetensors"
    part.delete()
    if data is not None:
        part.write(data)
    found = last_checkpoint(checkpoints)
    assert found
    with pytest.raises(DatasetError, match=r"update-000000010/optimizer/00000-of-00001\.safetensors"):
        check_files(found[0], found[1].files.items())


@pytest.mark.parametrize("text", ["", "[]", "{}", "\xff", '{"progress": {}, "objective": 1, "run": {}, "files": {}}'])
def test_another_manifest_is_refused(checkpoints: Location, text: str):
    (write(checkpoints, 10) / "manifest.json").write(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=r"manifest\.json is not a checkpoint's manifest"):
        last_checkpoint(checkpoints)


@pytest.mark.parametrize(("keep", "left"), [(0, [5, 4, 3, 2, 1]), (1, [5, 2]), (2, [5, 4, 2]), (9, [5, 4, 3, 2, 1])])
def test_the_last_and_the_best_are_kept(checkpoints: Location, keep: int, left: list[int]):
    for update, objective in enumerate([3.0, 0.5, 2.0, 1.0, 1.5], start=1):
        write(checkpoints, update, objective)

    prune_checkpoints(checkpoints, keep)

    assert updates(checkpoints) == left
    assert len(checkpoints.folders()) == len(left)


def test_another_models_checkpoint_is_refused_by_its_manifest(
    make_config: Callable[..., TrainingConfig], checkpoints: Location, tmp_path: Path
):
    config = make_config(tmp_path / "run")
    another = dataclasses.replace(config, model=dataclasses.replace(config.model, latents=8))
    mine, theirs = (
        Checkpoint(progress=progress_at(5), objective=1.0, run=identity(one), files={}) for one in (config, another)
    )
    check_owner(checkpoints, mine, dataclasses.replace(config, workers=4, checkpoint_every=7))
    with pytest.raises(
        InputError, match=r"/checkpoints belongs to another run: its model\.latents is 8 and this run's is 4; choose"
    ):
        check_owner(checkpoints, theirs, config)
