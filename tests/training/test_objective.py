"""What an update goes down: which datasets it takes, and by what their losses are divided."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from gates import open_gates
from torch.nn.functional import cross_entropy

from model.config import FlamingoConfig
from model.flamingo import Flamingo
from shards.location import locate
from training.config import DatasetConfig, TrainingConfig
from training.data.mixture import LoadedBatch, Part, load_updates, plan_updates
from training.data.pictures import Canvas
from training.data.vocabulary import vocabulary_of
from training.export import CARD, export
from training.gradients import Gradients
from training.log import read_log
from training.micro_batches import split_batch
from training.optimizer import make_optimizer
from training.output import SUMMARY
from training.phases import Phases
from training.replicated import ReplicatedFlamingo
from training.run import run
from training.update import make_update

Update = tuple[ReplicatedFlamingo, dict[str, LoadedBatch], TrainingConfig]


def plan(objective, given: dict[str, int], updates: int) -> list[dict[str, tuple[int, int]]]:
    """The first and last positions, by dataset, of each update."""
    datasets = {
        name: DatasetConfig(uri=name, kind="pair", batch=batch) for name, batch in (("a", 4), ("b", 3), ("c", 1))
    }
    config = TrainingConfig(
        output="run", model=FlamingoConfig(vision="v", language="l"), datasets=datasets, objective=objective
    )
    planned = islice(plan_updates(config, given), updates)
    return [{name: (batch.start, batch.stop) for name, batch in update.items()} for update in planned]


@pytest.mark.parametrize("objective", ["accumulated", "merged"])
def test_every_update_takes_a_batch_of_every_dataset(objective):
    assert plan(objective, {"a": 8, "b": 6, "c": 2}, 2) == [
        {"a": (8, 12), "b": (6, 9), "c": (2, 3)},
        {"a": (12, 16), "b": (9, 12), "c": (3, 4)},
    ]


def test_in_a_round_robin_each_dataset_has_its_turn():
    turns = [{"a": (0, 4)}, {"b": (0, 3)}, {"c": (0, 1)}, {"a": (4, 8)}, {"b": (3, 6)}, {"c": (1, 2)}]
    assert plan("round_robin", {"a": 0, "b": 0, "c": 0}, 6) == turns
    assert plan("round_robin", {"a": 4, "b": 0, "c": 0}, 5) == turns[1:]
    assert plan("round_robin", {"a": 4, "b": 3, "c": 0}, 4) == turns[2:]


@pytest.fixture
def update(make_config: Callable[..., TrainingConfig], tmp_path: Path) -> Iterator[Update]:
    """A model that this process has alone, with open gates, and the batches of an update."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    config = make_config(tmp_path, zero_stage=0, decoders=0, clip=1e9)
    torch.manual_seed(3)
    model = open_gates(Flamingo.from_backbones(config.model))
    flamingo = ReplicatedFlamingo(
        model=model,
        optimizer=make_optimizer(model, config),
        clip=config.clip,
        device=torch.device("cpu"),
    )
    vocabulary, canvas = vocabulary_of(model.tokenizer), Canvas(size=model.image_size, mean=model.image_mean)
    given, part = dict.fromkeys(config.datasets, 0), Part(rank=0, world=1)
    with load_updates(config, vocabulary, canvas, given=given, part=part) as loaded:
        yield flamingo, next(loaded), config
    dist.destroy_process_group()


def gradient_of(model: Flamingo, loss: torch.Tensor) -> torch.Tensor:
    """float[n]: of all that is trained, in one vector."""
    found = torch.autograd.grad(loss, model.trained_parameters(), retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def loss_sums(model: Flamingo, batches: dict[str, LoadedBatch]) -> dict[str, tuple[torch.Tensor, int]]:
    """The sum of -log p over each dataset's tokens, from the logits, and their number."""
    sums = {}
    for name, loaded in batches.items():
        targets = loaded.batch.targets.flatten()
        logits = model(loaded.batch)[:, :-1].flatten(0, 1)
        sums[name] = cross_entropy(logits, targets, reduction="sum"), int((targets >= 0).sum())
    return sums


def test_merged_is_the_mean_over_the_tokens_of_all_datasets(update: Update):
    flamingo, batches, config = update
    sums = loss_sums(flamingo.model, batches)
    all_tokens = sum(tokens for _, tokens in sums.values())
    expected = torch.stack([config.datasets[name].weight * total for name, (total, _) in sums.items()]).sum()
    norm = float(gradient_of(flamingo.model, expected / all_tokens).norm())

    merged = dataclasses.replace(config, objective="merged")
    measures = make_update(flamingo, batches, merged, 0.0, Phases())

    assert measures["objective"] == pytest.approx(expected.item() / all_tokens, rel=1e-5)
    assert measures["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    assert measures["loss"] == pytest.approx({name: total.item() / n for name, (total, n) in sums.items()}, rel=1e-5)


def test_gradients_of_datasets_are_those_of_each_alone(update: Update):
    flamingo, batches, config = update
    sums = loss_sums(flamingo.model, batches)
    alone = {
        name: gradient_of(flamingo.model, config.datasets[name].weight * total / tokens)
        for name, (total, tokens) in sums.items()
    }
    measures = make_update(flamingo, batches, config, 0.0, Phases(), Gradients(flamingo))

    norms, cosines = measures["dataset_gradient_norm"], measures["gradient_cosine"]
    assert norms == pytest.approx({name: float(gradient.norm()) for name, gradient in alone.items()}, rel=1e-4)
    assert cosines.keys() == {"pages pairs", "pages films", "pairs films"}
    for names, cosine in cosines.items():
        one, other = (alone[name] for name in names.split())
        assert cosine == pytest.approx(float(torch.cosine_similarity(one, other, dim=0)), abs=1e-4)


def test_the_z_loss_moves_the_gradient_alone(update: Update):
    flamingo, batches, config = update
    batches = {"pages": batches["pages"]}
    scored = batches["pages"].batch.targets >= 0
    ((total, tokens),) = loss_sums(flamingo.model, batches).values()
    squares = flamingo.model(batches["pages"].batch)[:, :-1][scored].logsumexp(dim=-1).square().sum()
    norm = float(gradient_of(flamingo.model, (total + 0.1 * squares) / tokens).norm())
    assert not math.isclose(norm, float(gradient_of(flamingo.model, total / tokens).norm()), rel_tol=1e-3)

    flamingo.model.language.z_loss = 0.1
    measures = make_update(flamingo, batches, config, 0.0, Phases())

    assert measures["loss"]["pages"] == pytest.approx(total.item() / tokens, rel=1e-5)
    assert measures["gradient_norm"] == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize(("ranks", "parts"), [(1, 8), (2, 4), (4, 2)])
def test_the_gradient_does_not_depend_on_how_batches_are_split(update: Update, ranks: int, parts: int):
    flamingo, batches, config = update
    model = flamingo.model.double()
    vocabulary, canvas = vocabulary_of(model.tokenizer), Canvas(size=model.image_size, mean=model.image_mean)
    sums = loss_sums(model, batches)
    whole = torch.stack([config.datasets[name].weight * total / tokens for name, (total, tokens) in sums.items()])
    expected = gradient_of(model, whole.sum())

    found, given = torch.zeros_like(expected), dict.fromkeys(config.datasets, 0)
    for rank in range(ranks):
        with load_updates(config, vocabulary, canvas, given=given, part=Part(rank=rank, world=ranks)) as loaded:
            for name, one in next(loaded).items():
                share = config.datasets[name].weight / sums[name][1]
                for part in split_batch(one.batch, parts):
                    found += gradient_of(model, share * model(part, loss=True))

    assert found.dtype == torch.float64
    assert (found - expected).norm() < 1e-10 * expected.norm()


@pytest.mark.slow
@pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.")
def test_a_round_robin_goes_on_where_it_stopped(
    ray_cluster, make_config: Callable[..., TrainingConfig], tmp_path: Path
):
    config = make_config(tmp_path / "whole", updates=5, objective="round_robin")
    stopped = dataclasses.replace(config, output=str(tmp_path / "stopped"), limit=2)
    for one in (config, stopped, dataclasses.replace(stopped, limit=None)):
        run(one)

    records = read_log(Path(config.output))
    assert [list(record["loss"]) for record in records] == [["pages"], ["pairs"], ["films"], ["pages"], ["pairs"]]
    assert records[-1]["samples_given"] == {"pages": 8, "pairs": 10, "films": 1}
    for record, other in zip(records, read_log(Path(stopped.output)), strict=True):
        assert other["loss"] == record["loss"]
    summary = json.loads(Path(config.output, SUMMARY).read_text())
    assert summary["loss_first"] == {**records[0]["loss"], **records[1]["loss"], **records[2]["loss"]}
    assert summary["loss_last"] == {**records[2]["loss"], **records[3]["loss"], **records[4]["loss"]}
    export(Path(config.output), 5, tmp_path / "exported", locate(f"{config.output}/checkpoints"))
    assert "| 5 |  |" in (tmp_path / "exported" / CARD).read_text()
