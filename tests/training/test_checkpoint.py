"""Checkpoints on disk: which of them count, what is checked before one is read, which are kept."""

from pathlib import Path

import pytest

from shards.errors import DatasetError
from training.plan import (
    Progress,
    checkpoint_folder,
    commit_checkpoint,
    last_checkpoint,
    prune_checkpoints,
    read_checkpoint,
    whole_checkpoints,
)


def progress_at(update: int) -> Progress:
    return Progress(update=update, given={"pages": 4 * update}, datasets={"pages": "abc"})


def write(output: Path, update: int, objective: float = 1.0, *, committed: bool = True) -> Path:
    folder = checkpoint_folder(output, update)
    (folder / "adapters").mkdir(parents=True)
    (folder / "adapters" / "adapters.safetensors").write_bytes(b"weights %d" % update)
    (folder / "optimizer.safetensors").write_bytes(b"moments %d" % update)
    if committed:
        commit_checkpoint(folder, progress_at(update), objective)
    return folder


def test_the_last_with_a_manifest_counts(tmp_path: Path):
    assert last_checkpoint(tmp_path) is None
    write(tmp_path, 5)
    folder = write(tmp_path, 10, 0.25)
    write(tmp_path, 15, committed=False)  # killed before its manifest

    assert last_checkpoint(tmp_path) == progress_at(10)
    checkpoint = read_checkpoint(folder)
    assert checkpoint.objective == 0.25
    assert checkpoint.files == {  # sha256sum
        "adapters/adapters.safetensors": "6bcd9b86c50c7963c5fc82961152ebab3be3f972dc59b0e8ab7b3fc1330ae676",
        "optimizer.safetensors": "53c30b7019fd86c4769f33b1bfbe77de818595572398ee0862a4b4e6aa36078a",
    }


@pytest.mark.parametrize("data", [b"moments 11", b"moments", b""])
def test_a_changed_file_is_named(tmp_path: Path, data: bytes):
    (write(tmp_path, 10) / "optimizer.safetensors").write_bytes(data)
    with pytest.raises(DatasetError, match=r"update-000000010/optimizer\.safetensors has changed since it was written"):
        last_checkpoint(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path):
    (write(tmp_path, 10) / "optimizer.safetensors").unlink()
    with pytest.raises(DatasetError, match=r"update-000000010/optimizer\.safetensors"):
        last_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"progress": {}, "objective": 1, "files": {}}'])
def test_another_manifest_is_refused(tmp_path: Path, text: str):
    (write(tmp_path, 10) / "manifest.json").write_text(text)
    with pytest.raises(DatasetError, match=r"manifest\.json is not a checkpoint's manifest"):
        last_checkpoint(tmp_path)


@pytest.mark.parametrize(("keep", "left"), [(0, [1, 2, 3, 4, 5]), (1, [2, 5]), (2, [2, 4, 5]), (9, [1, 2, 3, 4, 5])])
def test_the_last_and_the_best_are_kept(tmp_path: Path, keep: int, left: list[int]):
    for update, objective in enumerate([3.0, 0.5, 2.0, 1.0, 1.5], start=1):
        write(tmp_path, update, objective)

    prune_checkpoints(tmp_path, keep)

    assert whole_checkpoints(tmp_path) == [checkpoint_folder(tmp_path, update) for update in left]
    assert sorted(tmp_path.glob("checkpoints/*")) == whole_checkpoints(tmp_path)
