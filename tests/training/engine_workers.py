"""Workers without Ray: processes in one gloo group that make updates, save what came of them, and go on from it."""

import dataclasses
import itertools
import json
import math
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from shards.location import locate
from training.config import TrainingConfig

UPDATES = 2


def run_workers(world: int, folder: Path, cases: dict[str, dict[str, Any]], config: TrainingConfig) -> None:
    """Runs every case, the changes of a config by name, in `world` processes; OUTPUT is `folder`/name."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DS_ACCELERATOR"] = "cpu"
    spawn(_work, args=(world, folder, cases, config), nprocs=world)


def _work(rank: int, world: int, folder: Path, cases: dict[str, dict[str, Any]], config: TrainingConfig) -> None:
    os.environ["LOCAL_RANK"] = str(rank)  # DeepSpeed insists
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)
    for name, changes in cases.items():
        start, spoilt = changes.pop("start", None), changes.pop("spoilt", 0)
        case = dataclasses.replace(config, output=str(folder / name), **changes)
        _train(case, start and folder.parent / start, spoilt)
    dist.destroy_process_group()


def _train(config: TrainingConfig, start: Path | None, spoilt: int) -> None:
    """Makes `UPDATES` updates, from the beginning or from the checkpoint of the run in `start`, and a checkpoint.

    In update `spoilt` the loss of the last dataset has a weight that is no number.
    """
    from training import loop
    from training.agreement import Agreement
    from training.checkpoint import CheckpointWriter, load_optimizer
    from training.controls import control_losses
    from training.engine import shard
    from training.gradients import Gradients
    from training.manifest import last_checkpoint
    from training.plan import Plan, Progress
    from training.update import make_update

    progress = Progress(update=0, given=dict.fromkeys(config.datasets, 0), datasets={})
    checkpoint = None
    if start and (found := last_checkpoint(locate(str(start / "checkpoints")))):
        checkpoint, progress = found[0], found[1].progress
    model = loop.load_model(config, checkpoint)
    flamingo = shard(model, config, torch.device("cpu"), Path(config.output, f"files-{dist.get_rank()}"))
    if checkpoint:
        load_optimizer(flamingo, checkpoint, progress.update)
    vocabulary, canvas = loop.vocabulary_of(model.tokenizer), loop.Canvas(size=model.image_size, mean=model.image_mean)
    part, records = loop.Part(rank=dist.get_rank(), world=dist.get_world_size()), []
    with loop.load_updates(config, vocabulary, canvas, given=progress.given, part=part) as updates:
        for batches in itertools.islice(updates, UPDATES):
            progress = loop.advance(progress, config)
            now = _spoil(config) if progress.update == spoilt else config
            rate = config.learning_rate_at(progress.update)
            controls = control_losses(flamingo, batches, config)
            measures = make_update(flamingo, batches, now, rate, loop.Phases(), Gradients(flamingo))
            records.append({**measures, **controls})
    plan = Plan(config=config, progress=progress, stop=progress.update)
    with CheckpointWriter(plan, Agreement(seconds=60)) as checkpoints:
        checkpoints.write(flamingo, progress, 0.0)
        checkpoints.finish()
    if dist.get_rank() == 0:
        Path(config.output, "records.json").write_text(json.dumps(records))


def _spoil(config: TrainingConfig) -> TrainingConfig:
    """The config with a weight that it would refuse, so that the loss of one dataset is no number."""
    *others, (name, dataset) = config.datasets.items()
    spoilt = dataclasses.replace(dataset)
    object.__setattr__(spoilt, "weight", math.nan)
    return dataclasses.replace(config, datasets={**dict(others), name: spoilt})
