"""What each worker does: for each update, for each dataset, one weighted backward; then one clip, one step, one line.

Every rank makes the same collective calls in the same order, whatever its data: a rank without samples or without
media works on a dummy, and a loss of weight zero still goes backward.
"""

import dataclasses
import logging
import math
import resource
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray.train.torch
import torch
import torch.distributed as dist

from jobs.command import InputError
from model.flamingo import Flamingo, FlamingoBatch
from model.loss import IGNORED
from training.agreement import Agreement
from training.checkpoint import load_optimizer, save_checkpoint
from training.config import TrainingConfig
from training.data.mixture import LoadedBatch, Part, load_updates
from training.data.pictures import Canvas
from training.data.sample_log import SampleLog
from training.data.source import REASONS
from training.data.vocabulary import vocabulary_of
from training.engine import AnyFlamingo, shard, sum_over_ranks, trained_parameters
from training.health import Health
from training.log import RunLog, trim_log
from training.micro_batches import count_micro_batches, split_batch
from training.output import write_parameter_counts
from training.phases import Phases, Watchdog
from training.plan import ADAPTERS, Plan, Progress, prune_checkpoints, where_it_stands


def train(plan: Plan) -> None:
    """Trains from the plan's progress to its stop, and leaves a checkpoint there. Runs in every worker."""
    plan = where_it_stands(plan)
    config, progress, phases = plan.config, plan.progress, Phases()
    model = load_model(config, plan.checkpoint)
    vocabulary, canvas = vocabulary_of(model.tokenizer), Canvas(size=model.image_size, mean=model.image_mean)
    part = Part(rank=dist.get_rank(), world=dist.get_world_size())
    log = open_log(plan, model) if part.rank == 0 else None
    samples = SampleLog(plan.output, part, update=progress.update) if config.log_samples else None
    flamingo = shard(model, config, ray.train.torch.get_device())
    if plan.checkpoint:
        load_optimizer(flamingo, plan.checkpoint, progress.steps)
    with (
        load_updates(config, vocabulary, canvas, given=progress.given, part=part) as updates,
        Watchdog(phases, rank=part.rank, seconds=config.stuck_seconds, output=plan.output),
    ):
        make_updates(flamingo, updates, plan, phases, log, samples)
    for opened in filter(None, (log, samples)):
        opened.close()


def make_updates(
    flamingo: AnyFlamingo,
    updates: Iterator[dict[str, LoadedBatch]],
    plan: Plan,
    phases: Phases,
    log: RunLog | None,
    samples: SampleLog | None,
) -> None:
    """All updates of the plan, and a checkpoint at each that is due."""
    config, progress, objectives = plan.config, plan.progress, list[float]()
    agreement, health = Agreement(seconds=config.stuck_seconds), Health()
    while progress.update < plan.stop:
        started, before = time.monotonic(), progress
        progress = advance(progress, config)
        phases.enter("data", progress.update)
        batches = next(updates)
        phases.enter("agreement")
        agreement.check(progress.update, planned_calls(progress, config))
        measures = make_update(flamingo, batches, config, config.learning_rate_at(progress.update), phases)
        told = health.judge(measures["loss"], measures["gradient_norm"])
        if health.skipped_in_a_row:
            progress = dataclasses.replace(progress, skipped=progress.skipped + 1)
        else:
            objectives.append(measures["objective"])
        keys = agreement.gather(describe_keys(batches) if told else None)
        told = [f"{sentence}; its samples: {', '.join(keys)}" for sentence in told]
        if health.skipped_in_a_row > config.max_skipped:
            raise InputError(f"update {progress.update}, as {config.max_skipped} before it: {told[0]}")
        phases.enter("log")
        if log:
            described = describe(progress, measures, config, time.monotonic() - started, phases.take())
            epochs = describe_epochs(before, progress, batches)
            log.write({**described, **epochs, "notes": [*epochs["notes"], *told]})
        if samples:
            samples.write(progress.update, batches)
        if progress.update % config.checkpoint_every == 0 or progress.update == plan.stop:
            phases.enter("checkpoint")
            write_checkpoint(flamingo, plan, progress, objectives)
            objectives.clear()


def planned_calls(progress: Progress, config: TrainingConfig) -> dict[str, str]:
    """Which calls this rank is about to make of each dataset; they have to be those of all ranks."""
    world = dist.get_world_size()
    return {
        name: f"{count_micro_batches(dataset.batch, world, config.micro_batch)} forwards and backwards of "
        f"ZeRO stage {config.zero_stage} in {config.precision} up to sample {progress.given[name]}"
        for name, dataset in config.datasets.items()
    }


def describe_keys(batches: Mapping[str, LoadedBatch]) -> list[str]:
    """This rank's samples of an update."""
    return [f"{name} {key}" for name, loaded in batches.items() for key in loaded.keys]


def open_log(plan: Plan, model: Flamingo) -> RunLog:
    """The log of the rank that keeps it, which also notes how many parameters are trained."""
    trim_log(plan.output, plan.progress.update)
    write_parameter_counts(plan.output, model)  # before ZeRO shards them
    return RunLog(plan.output, update=plan.progress.update)


def write_checkpoint(flamingo: AnyFlamingo, plan: Plan, progress: Progress, objectives: Sequence[float]) -> None:
    """Leaves a checkpoint, and deletes those that need not be kept. All ranks must call it.

    Raises InputError if it cannot be written, unless the run is to go on without it.
    """
    objective = statistics.fmean(objectives) if objectives else math.inf
    why = save_checkpoint(flamingo, plan.output, progress, objective)
    last = progress.update == plan.stop
    if why and (last or plan.config.checkpoint_failure == "stop"):
        raise InputError(f"{why}; the run's last whole checkpoint is as it was: make room, and run the command again")
    if dist.get_rank() == 0:
        if why:
            logging.getLogger(__name__).error("%s; the run goes on without it", why)
        else:
            prune_checkpoints(plan.output, plan.config.keep_checkpoints)


def load_model(config: TrainingConfig, checkpoint: Path | None) -> Flamingo:
    """New adapters drawn from the run's seed, or the checkpoint's. Raises InputError if a backbone is unfit."""
    torch.manual_seed(config.seed)
    try:
        model = Flamingo.from_pretrained(checkpoint / ADAPTERS) if checkpoint else Flamingo.from_backbones(config.model)
    except ValueError as error:
        raise InputError(str(error)) from error
    model.checkpoint_activations(config.checkpoint_activations)
    return model


def advance(progress: Progress, config: TrainingConfig) -> Progress:
    """The progress after one more update."""
    given = {name: progress.given[name] + dataset.batch for name, dataset in config.datasets.items()}
    return dataclasses.replace(progress, update=progress.update + 1, given=given)


def make_update(
    flamingo: AnyFlamingo,
    batches: Mapping[str, LoadedBatch],
    config: TrainingConfig,
    learning_rate: float,
    phases: Phases,
) -> dict[str, Any]:
    """One step on sum_m weight_m * (mean loss over the tokens of dataset m's global batch); returns its measures.

    The mean is over all ranks' tokens together, so it does not depend on how a batch is split.
    """
    tokens = sum_over_ranks([count_targets(loaded) for loaded in batches.values()], flamingo.device)
    loss_sums = [
        add_gradients(flamingo, loaded.batch, config, name, tokens=int(count), phases=phases)
        for (name, loaded), count in zip(batches.items(), tokens, strict=True)
    ]
    phases.enter("step")
    gradient_norm = flamingo.step(learning_rate)
    phases.enter("measures")
    loss_sums = sum_over_ranks(loss_sums, flamingo.device)
    losses = {name: loss / max(1, n) for name, loss, n in zip(batches, loss_sums, tokens, strict=True)}
    return {
        "loss": losses,
        "objective": sum(config.datasets[name].weight * loss for name, loss in losses.items()),
        "tokens": dict(zip(batches, map(int, tokens), strict=True)),
        **measure_data(batches, flamingo.device),
        "learning_rate": learning_rate,
        "gradient_norm": gradient_norm,
        "gates": gate_values(flamingo),
    }


def add_gradients(
    flamingo: AnyFlamingo, batch: FlamingoBatch, config: TrainingConfig, name: str, *, tokens: int, phases: Phases
) -> float:
    """Adds those of this rank's part of a batch of dataset `name`; returns its sum of -log p.

    `tokens` is the number in the global batch, so it does not matter how the part is cut into micro-batches.
    """
    dataset = config.datasets[name]
    parts = count_micro_batches(dataset.batch, dist.get_world_size(), config.micro_batch)
    total = 0.0
    for part in split_batch(batch, parts):
        phases.enter("forward")
        loss_sum = flamingo.loss_sum(part.to(flamingo.device))
        phases.enter("backward")
        flamingo.backward(loss_sum, weight=dataset.weight, tokens=tokens)
        total += loss_sum.item()
    return total


def count_targets(loaded: LoadedBatch) -> int:
    """Tokens that the rank's part of the batch is trained on; the first of a text is never predicted."""
    return int((loaded.batch.targets != IGNORED).sum())


def measure_data(batches: Mapping[str, LoadedBatch], device: torch.device) -> dict[str, dict[str, Any]]:
    """Of all ranks together: the share of text that is padding, and the samples passed over since they started."""
    counts = [
        float(count)
        for loaded in batches.values()
        for count in (
            loaded.batch.input_ids.numel(),
            loaded.batch.attention_mask.sum(),
            *(loaded.bad.get(reason, 0) for reason in REASONS),
        )
    ]
    totals = dict(
        zip(batches, torch.tensor(sum_over_ranks(counts, device)).view(len(batches), -1).tolist(), strict=True)
    )
    reasons = {name: dict(zip(REASONS, map(int, total[2:]), strict=True)) for name, total in totals.items()}
    return {
        "padding": {name: 1 - tokens / cells for name, (cells, tokens, *_) in totals.items()},
        "bad_samples": {name: sum(numbers.values()) for name, numbers in reasons.items()},
        "bad_reasons": {f"{name} {why}": n for name, numbers in reasons.items() for why, n in numbers.items() if n},
    }


def describe_epochs(before: Progress, after: Progress, batches: Mapping[str, LoadedBatch]) -> dict[str, Any]:
    """How often each dataset was given, and a sentence for each that begins its epoch 1, 2, 4, 8, ... in it."""
    notes = list[str]()
    for name, loaded in batches.items():
        last, epoch = ((progress.given[name] - 1) // loaded.epoch_samples for progress in (before, after))
        if epoch > max(0, last) and epoch.bit_count() == 1:
            notes.append(
                f"{name} has given its {loaded.epoch_samples:,} samples and begins again, in a new order: epoch {epoch}"
            )
    epochs = {name: after.given[name] / loaded.epoch_samples for name, loaded in batches.items()}
    return {"epochs": epochs, "notes": notes}


def gate_values(flamingo: AnyFlamingo) -> dict[str, float]:
    """tanh of each gate by its name: the share of a block's output that reaches the language model."""
    gates = [(name, parameter) for name, parameter in trained_parameters(flamingo.model) if name.endswith("_gate")]
    return {name: flamingo.whole(parameter).tanh().item() for name, parameter in gates}


def describe(
    progress: Progress,
    measures: Mapping[str, Any],
    config: TrainingConfig,
    seconds: float,
    phases: Mapping[str, float],
) -> dict[str, Any]:
    """The log's record of one update that took `seconds`, of them in each phase what `phases` says."""
    samples = sum(dataset.batch for dataset in config.datasets.values())
    return {
        "update": progress.update,
        **measures,
        "samples_given": dict(progress.given),
        "seconds": seconds,
        "phase_seconds": dict(phases),
        "samples_per_second": samples / seconds,
        "tokens_per_second": sum(measures["tokens"].values()) / seconds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
