"""A run whose checkpoints go to an object store: a real S3 server on loopback (slow)."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import printed
from pyarrow import fs
from safetensors.torch import load_file

from training.config import TrainingConfig
from training.log import read_log


def train(config: TrainingConfig) -> str:
    path = Path(f"{config.output}.yaml")
    path.write_text(json.dumps(dataclasses.asdict(config)))  # JSON is YAML
    return printed("-m", "training.run", "--config", str(path))


@pytest.mark.slow
def test_a_run_with_checkpoints_in_a_bucket_is_one_with_them_on_a_disk(
    make_config: Callable[..., TrainingConfig], bucket: fs.FileSystem, tmp_path: Path
):
    on_disk = make_config(tmp_path / "disk", updates=6, checkpoint_every=2)
    remote = dataclasses.replace(
        on_disk, output=str(tmp_path / "remote"), checkpoints="s3://runs/mine", keep_checkpoints=1
    )
    train(on_disk)
    train(dataclasses.replace(remote, limit=4))
    assert "updates would take" in train(dataclasses.replace(remote, limit=1, workers=1))
    train(remote)

    losses, expected = ([record["loss"] for record in read_log(Path(one.output))] for one in (remote, on_disk))
    assert losses == [pytest.approx(loss, abs=1e-5) for loss in expected]
    assert not (tmp_path / "remote" / "checkpoints").exists()
    names = {info.path for info in bucket.get_file_info(fs.FileSelector("runs/mine", recursive=True)) if info.is_file}
    assert {name.removeprefix("runs/mine/update-000000006/") for name in names if "000006/" in name} == {
        "adapters/adapters.safetensors",
        "adapters/config.json",
        "manifest.json",
        "optimizer/00000-of-00002.safetensors",
        "optimizer/00001-of-00002.safetensors",
    }
    out = tmp_path / "exported"
    printed("-m", "training.export", str(remote.output), "6", str(out), "--checkpoints", "s3://runs/mine")
    published = load_file(tmp_path / "remote/adapters/adapters.safetensors")
    assert all((value == published[name]).all() for name, value in load_file(out / "adapters.safetensors").items())
