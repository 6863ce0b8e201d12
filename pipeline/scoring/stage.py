"""Scoring on Ray Data: actors load the models once and go from shard to shard; a file of scores for each shard.

    shards ─► those without scores ─► actors, one on each GPU, or on each CPU but one ─► scores/{shard}.parquet

A file answers a request: the shard's sha256 and the pinned models. So a rerun does what is missing, another model
scores all again, and another run finds what is kept. An actor that dies is started again; it left a mark at its
shard, whose pictures are then decoded in a process apart, and one that kills that process is `unscored`.
"""

import dataclasses
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from jobs.command import InputError
from jobs.connect import resolve
from pipeline.scoring.config import ScoringConfig
from pipeline.scoring.revisions import ModelError, pin_models
from pipeline.scoring.scores import ShardToScore, Work, counts_if_answered, kept_scores, scores_of
from shards.location import Location

CPU_SHARE = 0.5
"""Of a CPU that an actor claims: a pool that claims whole ones leaves none for Ray Data's own tasks."""
TRIES = 3
"""So often an actor is started again, and a shard that it died over tried again."""


def score_shards(output: Location, shards: Sequence[ShardToScore], config: ScoringConfig) -> Counter[str]:
    """Writes the scores of each of `shards` into the folder `scores` of `output`, unless they stand already.

    Returns, and prints, how many `images` the models saw, how many pictures were `unscored`, and of how many `texts`
    some were `texts_cut`. Raises InputError if a model cannot be loaded, or there is no room left to write to.
    """
    if not config.models:
        return Counter()
    config, kept = pinned(config), resolve("scoring.keep", config.keep) if config.keep else None
    models, counts, works = _models(config), Counter[str](), list[Work]()
    for shard in shards:
        work = Work(
            shard=shard, scores=scores_of(output, shard.id), request={"shard": shard.sha256, **models}, kept=kept
        )
        standing = _standing(work)
        if standing is None:
            works.append(work)
        counts.update(standing or {})
    for done in _run_on_ray(output, works, config):
        if done["failure"]:
            raise InputError(done["failure"])
        counts.update(done["counts"])
    print(
        f"models saw {counts['images']} images, {counts['unscored']} could not be decoded; they read {counts['texts']} "
        f"paragraphs, {counts['texts_cut']} of them cut where a model's length ends"
    )
    return counts


def pinned(config: ScoringConfig) -> ScoringConfig:
    """`config` with each model at its present revision. Raises InputError if there is no such model."""
    try:
        return pin_models(config)
    except ModelError as error:
        raise InputError(str(error)) from None


def _models(config: ScoringConfig) -> dict[str, Any]:
    """What the scores depend on, beside the shard."""
    fields = dataclasses.asdict(config)
    return {name: fields[name] for name in ("classifiers", "detectors", "similarity", "batch")}


def _standing(work: Work) -> dict[str, int] | None:
    """What was counted for the scores that stand, or are kept from another run; None if there are none."""
    counts = counts_if_answered(work.scores, work.request)
    if counts is not None or work.kept is None:
        return counts
    kept = kept_scores(work.kept, work.request)
    counts = counts_if_answered(kept, work.request)
    if counts is not None:
        work.scores.write(kept.read())
    return counts


def _run_on_ray(output: Location, works: Sequence[Work], config: ScoringConfig) -> list[dict[str, Any]]:
    if not works:
        return []
    # Only now: torch and transformers take seconds to import, and most runs have no model.
    from pipeline.scoring.actor import ScoringActor

    actor: Any = ScoringActor  # Ray's types know no classes here, only functions
    on_gpus = config.device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1
    with warnings.catch_warnings():
        # Ray Data starts actors again for ever by default, and 2.60 deprecates the one way to say how often.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        dataset = ray.data.range(len(works), override_num_blocks=len(works)).map(
            actor,
            fn_constructor_args=(output, config, works),
            compute=ray.data.ActorPoolStrategy(size=min(len(works), pool_size(on_gpus))),
            num_cpus=CPU_SHARE,
            num_gpus=1 if on_gpus else 0,
            max_restarts=TRIES,
            max_task_retries=TRIES,
        )
        return dataset.take_all()


def pool_size(on_gpus: bool) -> int:
    """An actor for each GPU of the cluster, or else for each CPU but one, which stays free for other tasks."""
    resources = ray.cluster_resources()
    return int(resources["GPU"]) if on_gpus else max(1, math.floor(resources.get("CPU", 1)) - 1)
