"""Scoring on Ray Data: actors load the models once and go from shard to shard; a file of scores for each shard.

    shards ─► those without scores ─► actors, one on each GPU, or on each CPU but one ─► scores/{shard}.parquet

A file answers a request: the shard's sha256 and the pinned models. So a rerun does what is missing, and another model
scores all again. An actor that dies is started again; it left a mark at its shard, whose pictures are then decoded in
a process apart, and one that kills that process is `unscored`.
"""

import dataclasses
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray.util.annotations import RayDeprecationWarning

from jobs.command import InputError
from pipeline.careful import careful_calls
from pipeline.chunks import ATTEMPTS
from pipeline.pixels import frame_pixels
from pipeline.scoring.config import ScoringConfig
from pipeline.scoring.models import ModelError, pin_models
from pipeline.scoring.scores import counts_if_answered, scores_of, write_scores
from pipeline.scoring.shard import open_models, score_documents
from pipeline.tasks import FULL
from shards.location import Location
from shards.shard import read_shard

CPU_SHARE = 0.5
"""Of a CPU that an actor claims: a pool that claims whole ones leaves none for Ray Data's own tasks."""
TRIES = 3
"""So often an actor is started again, and a shard that it died over tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardToScore:
    """A shard, and what its scores are called."""

    id: str
    tar: Location
    sha256: str


def score_shards(output: Location, shards: Sequence[ShardToScore], config: ScoringConfig) -> Counter[str]:
    """Writes the scores of each of `shards` into the folder `scores` of `output`, unless they stand already.

    Returns how many `images` the models saw, how many pictures were `unscored`, and of how many `texts` some were
    `texts_cut`. Raises InputError if a model cannot be loaded, or there is no room left to write to.
    """
    if not config.models:
        return Counter()
    try:
        config = pin_models(config)
    except ModelError as error:
        raise InputError(str(error)) from None
    counts, rows = Counter[str](), list[dict[str, Any]]()
    for shard in shards:
        request = {"shard": shard.sha256, **dataclasses.asdict(config)}
        standing = counts_if_answered(scores_of(output, shard.id), request)
        if standing is None:
            rows.append({"shard": shard, "request": request})
        counts.update(standing or {})
    for done in _run_on_ray(output, rows, config):
        if done["failure"]:
            raise InputError(done["failure"])
        counts.update(done["counts"])
    return counts


class ScoringActor:
    """Models, and the shards that are put to them one after the other."""

    def __init__(self, output: Location, config: ScoringConfig, rows: Sequence[dict[str, Any]]) -> None:
        device = torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")
        self._output, self._rows, self._failure = output, rows, ""
        try:
            self._models = open_models(config, device)
        except ModelError as error:
            # Said in a row: Ray Data wraps what is raised in so much that the cause is lost.
            self._failure = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if self._failure:
            return {"failure": self._failure, "counts": {}}
        work = self._rows[row["id"]]
        try:
            return {"failure": "", "counts": dict(self._score(work["shard"], work["request"]))}
        except OSError as error:
            if error.errno not in FULL:
                raise
            failure = f"output {self._output}: {error.strerror or error}, while scores were written; make room"
            return {"failure": f"{failure} and run the same command again", "counts": {}}

    def _score(self, shard: ShardToScore, request: dict[str, Any]) -> Counter[str]:
        counts = Counter[str](images=0, unscored=0, texts=0, texts_cut=0)
        mark = self._output / ATTEMPTS / f"scores-{shard.id}"
        careful = mark.exists()
        mark.write(b"")
        try:
            with careful_calls() as call:
                decode = (lambda frame, side: call(frame_pixels, frame, side)) if careful else frame_pixels
                scores = score_documents(self._models, read_shard(shard.tar), counts, decode)
                write_scores(scores_of(self._output, shard.id), scores, request, counts)
        finally:
            # Whatever can be raised was survived: only a process that died leaves its mark.
            with suppress(FileNotFoundError):
                mark.filesystem.delete_file(mark.path)
        return counts


def _run_on_ray(output: Location, rows: Sequence[dict[str, Any]], config: ScoringConfig) -> list[dict[str, Any]]:
    if not rows:
        return []
    actor: Any = ScoringActor  # Ray's types know no classes here, only functions
    on_gpus = config.device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)
        dataset = ray.data.range(len(rows), override_num_blocks=len(rows)).map(
            actor,
            fn_constructor_args=(output, config, rows),
            compute=ray.data.ActorPoolStrategy(size=min(len(rows), pool_size(on_gpus))),
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
