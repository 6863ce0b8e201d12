"""What each worker does: for each update, for each dataset, one weighted backward; then one clip, one step, one line.

Every rank makes the same collective calls in the same order, whatever its data: a rank without samples or without
media works on a dummy, and a loss of weight zero still goes backward.
"""

import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ray.train.torch
import torch
import torch.distributed as dist

from jobs.command import InputError
from model.flamingo import Flamingo
from model.loss import IGNORED, token_loss
from shards.dataset import open_dataset
from training.checkpoint import load_optimizer, save_checkpoint
from training.collate import Canvas
from training.config import DatasetConfig, TrainingConfig
from training.engine import ShardedFlamingo, shard, sum_over_ranks
from training.loader import LoadedBatch, Loader, prefetched
from training.log import RunLog
from training.output import write_parameter_counts
from training.plan import ADAPTERS, Plan, Progress, checkpoint_folder
from training.sampling import SamplingRule, vocabulary_of


def train(plan: Plan) -> None:
    """Trains from the plan's progress to its stop, and leaves a checkpoint there. Runs in every worker."""
    config, progress = plan.config, plan.progress
    model = load_model(config, plan.checkpoint)
    streams = {name: open_stream(model, config, name, progress) for name in config.datasets}
    log = open_log(plan, model) if dist.get_rank() == 0 else None
    flamingo = shard(model, config, ray.train.torch.get_device())
    if plan.checkpoint:
        load_optimizer(flamingo, plan.checkpoint, progress.update)
    while progress.update < plan.stop:
        started = time.monotonic()
        progress = advance(progress, config)
        batches = {name: next(stream) for name, stream in streams.items()}
        measures = make_update(flamingo, batches, config, config.learning_rate_at(progress.update))
        if log:
            log.write(describe(progress, measures, config, time.monotonic() - started))
        if progress.update % config.checkpoint_every == 0 or progress.update == plan.stop:
            save_checkpoint(flamingo, checkpoint_folder(plan.output, progress.update), progress)
    if log:
        log.close()


def open_log(plan: Plan, model: Flamingo) -> RunLog:
    """The log of the rank that keeps it, which also notes how many parameters are trained."""
    write_parameter_counts(plan.output, model)  # before ZeRO shards them
    return RunLog(plan.output, update=plan.progress.update)


def load_model(config: TrainingConfig, checkpoint: Path | None) -> Flamingo:
    """New adapters drawn from the run's seed, or the checkpoint's. Raises InputError if a backbone is unfit."""
    torch.manual_seed(config.seed)
    try:
        return Flamingo.from_adapters(checkpoint / ADAPTERS) if checkpoint else Flamingo.from_backbones(config.model)
    except ValueError as error:
        raise InputError(str(error)) from error


def open_stream(model: Flamingo, config: TrainingConfig, name: str, progress: Progress) -> Iterator[LoadedBatch]:
    """This rank's batches of the dataset `name`, from where the run left it."""
    dataset = config.datasets[name]
    loader = Loader(
        open_dataset(dataset.uri),
        rule=sampling_rule(dataset),
        vocabulary=vocabulary_of(model.tokenizer),
        canvas=Canvas(size=model.image_size, mean=model.image_mean),
        seed=config.seed,
        max_bad_samples=dataset.max_bad_samples,
    )
    given = progress.given[name]
    return prefetched(
        loader.batches(start=given, batch=dataset.batch, rank=dist.get_rank(), world=dist.get_world_size())
    )


def sampling_rule(dataset: DatasetConfig) -> SamplingRule:
    return SamplingRule(
        kind=dataset.kind,
        max_text=dataset.max_text,
        max_images=dataset.max_images,
        max_frames=dataset.max_frames,
        next_image_chance=dataset.next_image_chance,
    )


def advance(progress: Progress, config: TrainingConfig) -> Progress:
    """The progress after one more update."""
    given = {name: progress.given[name] + dataset.batch for name, dataset in config.datasets.items()}
    return Progress(update=progress.update + 1, given=given, datasets=progress.datasets)


def make_update(
    flamingo: ShardedFlamingo, batches: Mapping[str, LoadedBatch], config: TrainingConfig, learning_rate: float
) -> dict[str, Any]:
    """One step on sum_m weight_m * (mean loss over the tokens of dataset m's global batch); returns its measures.

    The mean is over all ranks' tokens together, so it does not depend on how a batch is split.
    """
    tokens = sum_over_ranks([count_targets(loaded) for loaded in batches.values()], flamingo.device)
    loss_sums = list[float]()
    for (name, loaded), count in zip(batches.items(), tokens, strict=True):
        batch = loaded.batch.to(flamingo.device)
        loss_sum, _ = token_loss(flamingo.logits(batch), batch.targets)
        flamingo.backward(loss_sum, weight=config.datasets[name].weight, tokens=int(count))
        loss_sums.append(loss_sum.item())
    gradient_norm = flamingo.step(learning_rate)
    loss_sums = sum_over_ranks(loss_sums, flamingo.device)
    passed_over = sum_over_ranks([sum(loaded.bad.values()) for loaded in batches.values()], flamingo.device)
    return {
        "loss": {name: loss / max(1, n) for name, loss, n in zip(batches, loss_sums, tokens, strict=True)},
        "tokens": dict(zip(batches, map(int, tokens), strict=True)),
        "bad_samples": dict(zip(batches, map(int, passed_over), strict=True)),
        "learning_rate": learning_rate,
        "gradient_norm": gradient_norm,
        "gates": gate_values(flamingo),
    }


def count_targets(loaded: LoadedBatch) -> int:
    """Tokens that the rank's part of the batch is trained on; the first of a text is never predicted."""
    return int((loaded.batch.targets != IGNORED).sum())


def gate_values(flamingo: ShardedFlamingo) -> dict[str, float]:
    """tanh of each gate by its name: the share of a block's output that reaches the language model."""
    gates = [(name, parameter) for name, parameter in flamingo.trained_parameters() if name.endswith("_gate")]
    return {name: flamingo.whole(parameter).tanh().item() for name, parameter in gates}


def describe(progress: Progress, measures: Mapping[str, Any], config: TrainingConfig, seconds: float) -> dict[str, Any]:
    """The log's record of one update."""
    samples = sum(dataset.batch for dataset in config.datasets.values())
    return {
        "update": progress.update,
        **measures,
        "samples_given": dict(progress.given),
        "seconds": seconds,
        "samples_per_second": samples / seconds,
        "tokens_per_second": sum(measures["tokens"].values()) / seconds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
