"""Fifty updates of a nano run go down the curve that is kept in golden/losses.json.

The curve was made by this test on 2026-11-22, with torch 2.13.0 on one thread of an AMD EPYC, from backbones drawn
from a seed (`conftest.py`). Where an update is meant to change, it is made anew: the test names the file with what it
found.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from model.flamingo import Flamingo
from training.config import TrainingConfig
from training.data.mixture import Part, load_updates
from training.data.pictures import Canvas
from training.data.vocabulary import vocabulary_of
from training.optimizer import make_optimizer
from training.phases import Phases
from training.replicated import ReplicatedFlamingo
from training.update import make_update

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
UPDATES = 50


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of this process and no other."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def train(config: TrainingConfig) -> list[dict[str, float]]:
    """The losses by dataset of each update."""
    torch.manual_seed(config.seed)
    model, device = Flamingo.from_backbones(config.model), torch.device("cpu")
    flamingo = ReplicatedFlamingo(model=model, optimizer=make_optimizer(model, config), clip=config.clip, device=device)
    canvas, given = Canvas(size=model.image_size, mean=model.image_mean), dict.fromkeys(config.datasets, 0)
    part = Part(rank=0, world=1)
    with load_updates(config, vocabulary_of(model.tokenizer), canvas, given=given, part=part) as updates:
        return [
            make_update(flamingo, batches, config, config.learning_rate_at(update), Phases())["loss"]
            for update, batches in enumerate(islice(updates, UPDATES), start=1)
        ]


@pytest.mark.usefixtures("alone")
def test_losses_go_down_the_golden_curve(make_config: Callable[..., TrainingConfig], tmp_path: Path):
    config = make_config(tmp_path, zero_stage=0, decoders=0, learning_rate=3e-3, warmup=5, updates=UPDATES)
    found = train(config)
    path = tmp_path / "losses.json"
    path.write_text(json.dumps(found, indent=1) + "\n")

    golden = json.loads(GOLDEN.read_text())
    assert found == [pytest.approx(losses, abs=1e-4) for losses in golden], f"what was found lies in {path}"
    assert len(golden) == UPDATES
    for name, least in {"pages": 0.7, "pairs": 0.7, "films": 0.1}.items():
        assert golden[-1][name] < golden[0][name] - least
