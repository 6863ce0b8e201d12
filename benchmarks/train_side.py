"""One side of `benchmarks.train`, in processes of its own: the updates of a run, under Ray Train or without it.

    python -m benchmarks.train_side ray RECIPE          # the command itself: training.run
    python -m benchmarks.train_side plain RECIPE        # training.loop in processes that torch starts
    python -m benchmarks.train_side checkpoint RECIPE   # prints the seconds that saving and loading take

Each update's seconds are in the run's log.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from jobs.command import run_command
from training.config import TrainingConfig
from training.inputs import check_datasets
from training.output import claim
from training.plan import Plan, Progress
from training.run import run


def read_plan(recipe: str) -> Plan:
    """A run from its beginning to its end."""
    configs = list[TrainingConfig]()
    assert run_command(TrainingConfig, configs.append, "", ["--config", recipe]) == 0
    (config,) = configs
    progress = Progress(update=0, given=dict.fromkeys(config.datasets, 0), datasets=check_datasets(config))
    return Plan(config=config, progress=progress, stop=config.updates)


def run_plainly(plan: Plan, work: Callable[[Plan], None]) -> None:
    """Runs `work` in as many processes of one gloo group as the plan has workers, with a thread each as under Ray."""
    os.environ.update(DS_ACCELERATOR="cpu", OMP_NUM_THREADS="1")
    claim(plan.config)
    spawn(_start, args=(plan, work), nprocs=plan.config.workers)


def _start(rank: int, plan: Plan, work: Callable[[Plan], None]) -> None:
    os.environ["LOCAL_RANK"] = str(rank)  # DeepSpeed insists
    torch.set_num_threads(1)
    meeting = f"file://{plan.config.output}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=plan.config.workers)
    work(plan)
    dist.destroy_process_group()


def train(plan: Plan) -> None:
    """The loop that Ray's workers run. What it asks Ray, whom nobody has started here, is answered for it."""
    import ray.train.torch

    from training import loop

    setattr(ray.train.torch, "get_device", lambda: torch.device("cpu"))  # noqa: B010
    setattr(ray.train, "get_preemption_info", lambda: None)  # noqa: B010
    loop.train(plan)


def save_and_load(plan: Plan) -> None:
    """Saves a checkpoint of a new run, and loads it; the first process prints the seconds of each."""
    from training import loop
    from training.agreement import Agreement
    from training.checkpoint import CheckpointWriter, load_optimizer
    from training.engine import shard

    flamingo = shard(loop.load_model(plan.config, None), plan.config, torch.device("cpu"), plan.output)
    dist.barrier()
    started = time.monotonic()
    progress = loop.advance(plan.progress, plan.config)
    saved_plan = Plan(config=plan.config, progress=progress, stop=plan.stop)
    with CheckpointWriter(saved_plan, Agreement(seconds=600)) as checkpoints:
        checkpoints.write(flamingo, progress, 0.0)
        copied = time.monotonic()
        checkpoints.finish()
    saved = time.monotonic()
    assert saved_plan.checkpoint
    load_optimizer(flamingo, saved_plan.checkpoint, progress.steps)
    seconds = {"copy": copied - started, "save": saved - started, "load": time.monotonic() - saved}
    if dist.get_rank() == 0:
        print(json.dumps(seconds), flush=True)


def main(how: str, recipe: str) -> None:
    plan = read_plan(recipe)
    if how == "ray":
        run(plan.config)
    else:
        run_plainly(plan, train if how == "plain" else save_and_load)


if __name__ == "__main__":
    main(*sys.argv[1:])
