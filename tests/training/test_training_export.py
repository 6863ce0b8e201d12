"""Adapters with a card, from a run's folder that is written here by hand."""

import json
from pathlib import Path

import pytest

from shards.location import locate
from training.export import main
from training.manifest import Checkpoint, commit_checkpoint
from training.plan import Progress, checkpoint_folder

SETTINGS = {
    "model": {"vision": "openai/clip", "language": "facebook/opt"},
    "datasets": {
        "m3w": {"uri": "s3://bucket/m3w", "kind": "interleaved", "weight": 1.0, "batch": 16},
        "pairs": {"uri": "a|b", "kind": "pair", "weight": 0.2, "batch": 32},
    },
    **{"learning_rate": 1e-4, "schedule": "constant", "warmup": 5, "weight_decay": 0.1, "clip": 1.0},
    **{"precision": "fp32", "seed": 0},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 48 updates with checkpoints at 24 and 48."""
    folder = tmp_path / "run"
    for update in (24, 48):
        checkpoint = checkpoint_folder(locate(str(folder / "checkpoints")), update)
        adapters = Path(checkpoint.path, "adapters")
        adapters.mkdir(parents=True)
        (adapters / "config.json").write_text(f"config {update}")
        (adapters / "adapters.safetensors").write_text(f"weights {update}")
        given, datasets = {"m3w": 16 * update, "pairs": 32 * update}, {"m3w": "abc", "pairs": "def"}
        progress = Progress(update=update, given=given, datasets=datasets)
        files = {f"adapters/{path.name}": locate(str(path)).sha256() for path in adapters.iterdir()}
        commit_checkpoint(checkpoint, Checkpoint(progress=progress, objective=1.0, run=SETTINGS, files=files))
    (folder / "run.json").write_text(json.dumps(SETTINGS))
    lines = [json.dumps({"update": n, "loss": {"m3w": 4 - n / 100, "pairs": 3 - n / 100}}) for n in range(1, 49)]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_the_adapters_of_a_step_and_their_card(run: Path, tmp_path: Path, capsys):
    assert main([str(run), "24", str(tmp_path / "out")]) == 0

    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "adapters.safetensors", "config.json"]
    assert (out / "adapters.safetensors").read_text() == "weights 24"
    card = (out / "README.md").read_text().splitlines()
    assert "| m3w | `s3://bucket/m3w` | interleaved | 1.0 | 16 | 384 | abc |" in card
    assert "| pairs | `a\\|b` | pair | 0.2 | 32 | 768 | def |" in card
    assert "| learning_rate | 0.0001 |" in card
    assert [line for line in card if line.startswith("| 2")] == [
        "| 2 | 3.9800 | 2.9800 |",
        "| 20 | 3.8000 | 2.8000 |",
        "| 22 | 3.7800 | 2.7800 |",
        "| 24 | 3.7600 | 2.7600 |",
    ]
    assert f"the adapters of update 24 and their card are in {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["RUN", "30", "OUT"], "has no checkpoint of update 30; it has: 24, 48"),
        (["OUT", "24", "OUT"], "is no run's folder: it holds no run.json"),
        (["RUN", "24", "RUN"], "is there already, and is not an empty folder"),
    ],
)
def test_what_is_not_there_is_a_sentence(run: Path, tmp_path: Path, capsys, words: list[str], sentence: str):
    folders = {"RUN": str(run), "OUT": str(tmp_path / "out")}
    assert main([folders.get(word, word) for word in words]) == 2
    assert sentence in capsys.readouterr().err


def test_changed_weights_are_not_exported(run: Path, tmp_path: Path, capsys):
    (run / "checkpoints/update-000000048/adapters/adapters.safetensors").write_text("weights 49")
    assert main([str(run), "48", str(tmp_path / "out")]) == 2
    assert "adapters.safetensors has changed since it was written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
