"""A run of two ZeRO-3 workers under Ray Train, held against a bare torch loop in this process."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optimizer_files import read_optimizer
from safetensors.torch import load_file
from squares import document, write_dataset
from torch.nn.functional import cross_entropy

from jobs.command import InputError
from model.flamingo import Flamingo, FlamingoBatch
from shards.document import Frame, Media, Text
from shards.errors import DatasetError
from training.config import MeasuresConfig, TrainingConfig
from training.data.mixture import Part, load_updates
from training.data.pictures import Canvas
from training.data.vocabulary import vocabulary_of
from training.hardware import HardwareConfig
from training.log import read_log
from training.run import run

pytestmark = pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.")
UPDATES = 20
PEAK = HardwareConfig(peak=0.01)


@pytest.fixture(scope="module")
def config(ray_cluster, make_config: Callable[..., TrainingConfig], tmp_path_factory) -> TrainingConfig:
    """Of a run that has been made: 20 updates of two workers, with every parameter sharded."""
    output = tmp_path_factory.mktemp("run") / "output"
    measures = MeasuresConfig(controls_every=10, gradients_every=10, collectives_every=20)
    config = make_config(
        output, updates=UPDATES, checkpoint_every=5, learning_rate=3e-3, warmup=3, measures=measures, hardware=PEAK
    )
    run(config)
    return config


def global_batches(flamingo: Flamingo, config: TrainingConfig, updates: int) -> list[dict[str, FlamingoBatch]]:
    """The whole batch of every dataset for the first updates."""
    canvas = Canvas(size=flamingo.image_size, mean=flamingo.image_mean)
    here, given = dataclasses.replace(config, decoders=0), dict.fromkeys(config.datasets, 0)
    with load_updates(
        here, vocabulary_of(flamingo.tokenizer), canvas, given=given, part=Part(rank=0, world=1)
    ) as loaded:
        return [{name: one.batch for name, one in next(loaded).items()} for _ in range(updates)]


def mean_loss(flamingo: Flamingo, batch: FlamingoBatch) -> torch.Tensor:
    return cross_entropy(flamingo(batch)[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten())


def train_plainly(config: TrainingConfig, updates: int) -> tuple[Flamingo, list[dict[str, float]], list[float]]:
    """The same updates in one process, written without the package: the model, losses and gradient norms."""
    torch.manual_seed(config.seed)
    flamingo = Flamingo.from_backbones(config.model)
    named = [(name, parameter) for name, parameter in flamingo.named_parameters() if parameter.requires_grad]
    decays = [p for name, p in named if ".block." in name and name.endswith("weight") and "norm" not in name]
    others = [p for _, p in named if all(p is not decayed for decayed in decays)]
    optimizer = torch.optim.AdamW([{"params": decays, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}])
    losses, norms = [], []
    for update, batches in enumerate(global_batches(flamingo, config, updates), start=1):
        means = {name: mean_loss(flamingo, batch) for name, batch in batches.items()}
        optimizer.zero_grad()
        torch.stack([config.datasets[name].weight * mean for name, mean in means.items()]).sum().backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(flamingo.trained_parameters(), 1.0)))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, update / config.warmup)
        optimizer.step()
        losses.append({name: mean.item() for name, mean in means.items()})
    return flamingo, losses, norms


def adapters_at(config: TrainingConfig, update: int) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output, f"checkpoints/update-{update:09d}/adapters/adapters.safetensors"))


def test_updates_equal_those_of_a_bare_torch_loop(config: TrainingConfig):
    flamingo, losses, norms = train_plainly(config, 5)
    records = read_log(Path(config.output))[:5]

    for record, loss, norm in zip(records, losses, norms, strict=True):
        assert record["loss"] == pytest.approx(loss, abs=1e-5)
        assert record["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert max(norms) > config.clip
    trained = adapters_at(config, 5)
    expected = flamingo.adapter_state_dict()
    assert trained.keys() == expected.keys()
    for name, value in trained.items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=0, msg=name)


def test_the_run_starts_as_the_frozen_language_model(config: TrainingConfig):
    torch.manual_seed(config.seed)
    flamingo = Flamingo.from_backbones(config.model)
    (batches,) = global_batches(flamingo, config, 1)
    first = read_log(Path(config.output))[0]

    with torch.no_grad():
        for name, batch in batches.items():
            unseeing = dataclasses.replace(batch, media_index=torch.full_like(batch.media_index, -1))
            assert torch.equal(flamingo(batch), flamingo(unseeing))
            assert first["loss"][name] == pytest.approx(mean_loss(flamingo, unseeing).item(), abs=1e-6)


def test_losses_are_finite_and_fall(config: TrainingConfig):
    records = read_log(Path(config.output))

    assert [record["update"] for record in records] == list(range(1, UPDATES + 1))
    for name in config.datasets:
        losses = torch.tensor([record["loss"][name] for record in records])
        assert losses.isfinite().all()
        assert losses[-5:].mean() < losses[:5].mean() - 0.1


def test_the_log_says_how_full_rows_are_and_when_a_dataset_begins_again(config: TrainingConfig):
    records = read_log(Path(config.output))

    assert all(0 <= share < 1 for record in records for share in record["padding"].values())
    assert records[-1]["epochs"] == {"pages": 80 / 24, "pairs": 100 / 16, "films": 20 / 8}
    # Update 4 takes the pairs at positions 15 to 19, of which the last four are of the second epoch.
    assert records[3]["notes"] == ["pairs has given its 16 samples and begins again, in a new order: epoch 1"]
    assert records[4]["notes"] == []
    # Epochs 1 and 2 of the pages, 1, 2 and 4 of the pairs, 1 and 2 of the films.
    assert sum(len(record["notes"]) for record in records) == 2 + 3 + 2
    assert not records[-1]["bad_reasons"]


def test_the_log_has_what_is_measured_now_and_then(config: TrainingConfig):
    records = read_log(Path(config.output))
    measured = {
        "blind_loss": {10, 20},
        "shuffled_loss": {10, 20},
        "gradient_cosine": {10, 20},
        "collective_seconds": {20},
    }

    for name, updates in measured.items():
        assert {record["update"] for record in records if name in record} == updates
    assert records[9]["blind_loss"].keys() == records[9]["loss"].keys()
    assert records[19]["collective_seconds"].keys() >= {"all_reduce", "all_gather"}
    assert all(seconds > 0 for seconds in records[19]["collective_seconds"].values())
    for record in records:
        phases = record["phase_seconds"]
        assert {"data", "vision", "forward", "backward", "step"} <= phases.keys()
        assert sum(phases.values()) >= 0.9 * record["seconds"]


def test_the_log_says_how_much_of_what_its_devices_can_do_an_update_takes(config: TrainingConfig):
    for record in read_log(Path(config.output)):
        assert record["peak_operations_per_second"] == 2 * 0.01e12
        assert record["utilisation"] == pytest.approx(record["operations"] / (record["seconds"] * 0.02e12))
        assert 0 < record["utilisation"] < 1


def test_what_a_run_leaves(config: TrainingConfig):
    output = Path(config.output)
    summary = json.loads((output / "summary.json").read_text())
    flamingo = Flamingo.from_pretrained(output / "adapters")
    trained = sum(parameter.numel() for parameter in flamingo.trained_parameters())

    assert summary["updates"] == UPDATES
    assert summary["samples"] == {"pages": 80, "pairs": 100, "films": 20}
    assert (summary["parameters_trained"], summary["parameters"]) == (
        trained,
        sum(parameter.numel() for parameter in flamingo.parameters()),
    )
    for name, value in adapters_at(config, UPDATES).items():
        assert torch.equal(flamingo.adapter_state_dict()[name], value)
    assert list((output / "tensorboard").iterdir())
    assert not list(output.rglob("*.pt"))


def test_a_second_run_changes_nothing_and_says_so(config: TrainingConfig, capsys):
    files = {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("*")}

    run(config)

    assert "already holds this run's 20 updates; nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("*")} == files


def test_a_run_goes_on_with_one_worker_as_with_two(config: TrainingConfig, tmp_path: Path):
    output = shutil.copytree(config.output, tmp_path / "output", ignore=shutil.ignore_patterns("ray"))
    for update in (10, 15, 20):
        shutil.rmtree(output / f"checkpoints/update-{update:09d}")
    (output / "checkpoints/update-000000007").mkdir()  # cut off before its manifest
    continued = dataclasses.replace(config, output=str(output), updates=10, workers=1)

    run(continued)

    records, undisturbed = read_log(output), read_log(Path(config.output))[:10]
    assert [record["update"] for record in records] == list(range(1, 11))
    for record, expected in zip(records, undisturbed, strict=True):
        assert record["loss"] == pytest.approx(expected["loss"], abs=1e-5)
        assert record["samples_given"] == expected["samples_given"]
    for name, value in adapters_at(continued, 10).items():
        torch.testing.assert_close(value, adapters_at(config, 10)[name], atol=1e-5, rtol=0, msg=name)


@pytest.mark.slow
def test_bf16_follows_fp32_roughly(config: TrainingConfig, tmp_path: Path):
    rough = dataclasses.replace(config, output=str(tmp_path / "output"), precision="bf16", updates=2, limit=1)
    run(rough)
    run(dataclasses.replace(rough, limit=None))

    records = read_log(Path(rough.output))
    assert [record["update"] for record in records] == [1, 2]
    for record, expected in zip(records, read_log(Path(config.output))[:2], strict=True):
        assert record["loss"] == pytest.approx(expected["loss"], abs=0.05)
    optimizer = read_optimizer(Path(rough.output, "checkpoints/update-000000002"))
    assert {value.dtype for value in optimizer.values()} == {torch.float32}


def test_what_stops_a_worker_stops_the_run_in_a_sentence(config: TrainingConfig, tmp_path: Path):
    picture = Frame(data=b"no picture", format="png", width=1, height=1)
    bad = [document(n, Media(kind="image", frames=(picture,)), Text(text="a square")) for n in range(4)]
    pairs = dataclasses.replace(config.datasets["pairs"], uri=write_dataset(tmp_path / "pairs", bad))

    with pytest.raises(
        DatasetError, match=r"bad samples \(picture_undecodable 11\) .* at most 10 of 10,000 are allowed"
    ):
        run(dataclasses.replace(config, output=str(tmp_path / "output"), datasets={"pairs": pairs}))


def test_another_runs_output_is_refused(config: TrainingConfig):
    with pytest.raises(InputError, match=r"belongs to another run: its seed is 0 and this run's is 1"):
        run(dataclasses.replace(config, seed=1))


def test_a_folder_with_something_else_is_refused(config: TrainingConfig, tmp_path: Path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match=f"output {tmp_path} is no run's"):
        run(dataclasses.replace(config, output=str(tmp_path)))


def test_a_dataset_without_a_manifest_is_refused(config: TrainingConfig, tmp_path: Path):
    datasets = {"pages": dataclasses.replace(config.datasets["pages"], uri=str(tmp_path / "none"))}
    with pytest.raises(DatasetError, match=r"none has no manifest\.json"):
        run(dataclasses.replace(config, output=str(tmp_path / "output"), datasets=datasets))
    assert not (tmp_path / "output").exists()


def test_a_missing_backbone_is_refused(config: TrainingConfig, tmp_path: Path):
    model = dataclasses.replace(config.model, vision=str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"model\.vision is '.*none', and there is no such folder"):
        run(dataclasses.replace(config, output=str(tmp_path / "output"), model=model))


def test_a_changed_dataset_is_refused(config: TrainingConfig, tmp_path: Path):
    output = shutil.copytree(config.output, tmp_path / "output", ignore=shutil.ignore_patterns("ray"))
    manifest = output / f"checkpoints/update-{UPDATES:09d}/manifest.json"
    manifest.write_text(manifest.read_text().replace('"films": "', '"films": "0'))
    with pytest.raises(DatasetError, match="dataset films has changed since the run's update 20"):
        run(dataclasses.replace(config, output=str(output)))
