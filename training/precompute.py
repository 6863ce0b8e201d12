"""Computes the features of all pictures of a run's datasets ahead, so that training reads them instead of pictures.

    python -m training.precompute --config recipes/....yaml

    shards ─► those without features ─► actors, one on each GPU, or on each CPU but one ─► DATASET/features/KEY/

The config is the run's own; set `precomputed: true` in it to train on them. A file of features is whole or absent, so a
second call does what is missing.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from jobs.command import InputError, run_command
from jobs.connect import check_shared, connect
from shards.dataset import open_dataset
from training.config import TrainingConfig
from training.data.features import Features, are_of, features_folder, write_manifest
from training.inputs import check_backbones, check_datasets, with_absolute_paths
from training.seeing import VisionActor, Work, count_features, load_eye

CPU_SHARE = 0.5
"""Of a CPU that an actor claims: a pool that claims whole ones leaves none for Ray Data's own tasks."""
TRIES = 3
"""So often an actor is started again, and a shard that it died over tried again."""


def precompute(config: TrainingConfig) -> None:
    """Leaves features beside each of the config's datasets.

    Raises InputError or DatasetError where an input is missing, or the vision encoder is to be trained.
    """
    config = with_absolute_paths(config)
    if not config.model.vision_frozen:
        raise InputError("model.vision_frozen is false, and features of an encoder that is trained do not last")
    check_datasets(config)
    check_backbones(config)
    encoder, eye = load_eye(config)
    space, width = count_features(encoder)
    connect()
    for name, settings in config.datasets.items():
        dataset = open_dataset(settings.uri)
        features = Features(folder=features_folder(dataset, eye), dtype=eye.dtype, space=space, width=width)
        check_shared(f"datasets.{name}.uri", dataset.location)
        works = [Work(dataset=dataset, shard=shard, features=features) for shard in dataset.manifest.shards]
        missing = [work for work in works if not are_of(features.file_of(work.shard.name), work.shard)]
        rows = run_on_ray(missing, config)
        for failure in filter(None, (row["failure"] for row in rows)):
            raise InputError(failure)
        write_manifest(dataset, eye, features)
        frames = sum(row["frames"] for row in rows)
        print(f"{name}: {frames:,} pictures of {len(missing)} shards became {features.folder}")


def run_on_ray(works: Sequence[Work], config: TrainingConfig) -> list[dict[str, Any]]:
    """Makes the files of all `works`; a row for each. Raises InputError if it needs a GPU, and there is none."""
    if not works:
        return []
    actor: Any = VisionActor  # Ray's types know no classes here, only functions
    resources = ray.cluster_resources()
    size = int(resources.get("GPU", 0)) if config.gpu else max(1, math.floor(resources.get("CPU", 1)) - 1)
    if not size:
        raise InputError("gpu is true, and Ray knows of no GPU; set it to false to look at the pictures on CPUs")
    with warnings.catch_warnings():
        # Ray Data starts actors again for ever by default, and 2.60 deprecates the one way to say how often.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        rows = ray.data.range(len(works), override_num_blocks=len(works)).map(
            actor,
            fn_constructor_args=(config, works),
            compute=ray.data.ActorPoolStrategy(size=min(len(works), size)),
            num_cpus=CPU_SHARE,
            num_gpus=1 if config.gpu else 0,
            max_restarts=TRIES,
            max_task_retries=TRIES,
        )
        return rows.take_all()


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(TrainingConfig, precompute, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
