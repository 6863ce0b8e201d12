"""From the driver to the workers: Ray Train starts them, and hands back what stopped them."""

import os

import ray
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2.api.callback import RayTrainCallback

from jobs.command import InputError
from shards.errors import DatasetError
from training.config import TrainingConfig
from training.plan import Plan

RESIZE_EVERY = 300.0
"""Seconds between looks at whether there is room for more workers, for whom all start anew from the last checkpoint."""


class Trainer(TorchTrainer):
    """Ray's, without the cleaner of placement groups, which is for trainers that are not a job's own driver.

    A job's placement groups end with it. The cleaner asks over the dashboard, every second, whether the controller
    lives, for 2 % of a core, and takes a missing answer for its death: under load it ended healthy runs
    (ray-project/ray#65447).
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if not isinstance(callback, PlacementGroupCleanerCallback)]


def start_workers(plan: Plan) -> None:
    """Runs `training.loop.train` in every worker to its end.

    Raises InputError or DatasetError where that is what a worker raised, else ray's WorkerGroupError.
    """
    config = plan.config
    trainer = Trainer(
        train_in_worker,
        train_loop_config={"plan": plan},
        torch_config=TorchConfig(backend="nccl" if config.gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=(config.least_workers, config.workers) if config.least_workers else config.workers,
            use_gpu=config.gpu,
            resources_per_worker=worker_resources(config),
            elastic_resize_monitor_interval_s=RESIZE_EVERY,
        ),
        run_config=RunConfig(
            name="workers",
            storage_path=str(plan.output / "ray"),
            worker_runtime_env={"env_vars": worker_environment(config)},
            logging_config=LoggingConfig(log_level="WARNING"),
            failure_config=FailureConfig(max_failures=config.failures),
        ),
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        for failure in error.worker_failures.values():
            cause = getattr(failure, "_base_exc", failure)
            if isinstance(cause, (InputError, DatasetError)):
                raise cause from error
        raise


def train_in_worker(settings: dict[str, Plan]) -> None:
    """Ray Train hands over a dictionary."""
    # Only here: DeepSpeed looks at DS_ACCELERATOR when it is imported, and the driver needs none of it.
    from training.loop import train

    train(settings["plan"])


def worker_resources(config: TrainingConfig) -> dict[str, float]:
    """One CPU a worker, or less where Ray was started in this process on a machine with too few for all.

    Ray Train's own controller takes none, so workers may hold every CPU. A number of workers that follows the CPUs
    needs whole ones.
    """
    share = ray.cluster_resources().get("CPU", 1.0) / config.workers
    cpus = 1.0 if os.environ.get("RAY_ADDRESS") or config.least_workers else min(1.0, share)
    return {"CPU": cpus, **({"GPU": 1.0} if config.gpu else {})}


def worker_environment(config: TrainingConfig) -> dict[str, str]:
    """What must be set before a worker imports its libraries."""
    return {
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        # DeepSpeed calls functions that torch has renamed.
        "PYTHONWARNINGS": "ignore::FutureWarning:torch.distributed.c10d_logger",
        **({} if config.gpu else {"DS_ACCELERATOR": "cpu"}),
    }
