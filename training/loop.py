"""What each worker does: update after update, a line of the log for each, and a checkpoint where one is due.

Every rank makes the same collective calls in the same order, whatever its data: a rank without samples or without
media works on a dummy, and a loss of weight zero still goes backward.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray.train.torch
import torch
import torch.distributed as dist

from jobs.command import InputError
from model.adapters import read_adapters
from model.flamingo import Flamingo
from shards.location import Location
from training.agreement import Agreement
from training.checkpoint import CheckpointWriter, load_optimizer
from training.config import TrainingConfig
from training.data.mixture import LoadedBatch, Part, datasets_of_update, load_updates
from training.data.pictures import Canvas
from training.data.sample_log import SampleLog
from training.data.vocabulary import vocabulary_of
from training.engine import AnyFlamingo, shard
from training.health import Health
from training.heap import trim_heap
from training.log import RunLog, trim_log
from training.manifest import delete_unfinished, fetched_adapters, where_it_stands
from training.measures import measured_update
from training.memory import estimate_files
from training.micro_batches import count_micro_batches
from training.offload import own_folder
from training.output import write_parameter_counts
from training.phases import Phases, Watchdog, watch
from training.plan import Plan, Progress
from training.preemption import Notices
from training.seeing import eye_of
from training.utilisation import utilisation


def train(plan: Plan) -> None:
    """Trains from the plan's progress to its stop, and leaves a checkpoint there. Runs in every worker."""
    part = Part(rank=dist.get_rank(), world=dist.get_world_size())
    plan = where_it_stands(plan, part.rank, part.world)
    config, progress = plan.config, plan.progress
    phases = Phases(settle=torch.cuda.synchronize if config.gpu else None)
    agreement = Agreement(seconds=config.stuck_seconds)
    model = load_model(config, plan.checkpoint)
    agreement.check_backbones(model.fingerprints)
    vocabulary, canvas = vocabulary_of(model.tokenizer), Canvas(size=model.image_size, mean=model.image_mean)
    eye = eye_of(model.vision, model.fingerprints["vision"], config) if config.precomputed else None
    log = open_log(plan, model) if part.rank == 0 else None
    samples = SampleLog(plan.output, part, update=progress.update) if config.log_samples else None
    watch(model.vision, "vision", phases)
    with own_folder(config, part.rank, estimate_files(model, config, part.world)) as files:
        flamingo = shard(model, config, ray.train.torch.get_device(), files)
        if plan.checkpoint:
            load_optimizer(flamingo, plan.checkpoint, progress.steps)
        with (
            load_updates(config, vocabulary, canvas, given=progress.given, part=part, eye=eye) as updates,
            Watchdog(phases, rank=part.rank, seconds=config.stuck_seconds, output=plan.output),
            CheckpointWriter(plan, agreement) as checkpoints,
        ):
            make_updates(flamingo, updates, plan, phases, agreement, checkpoints, log, samples)
    for opened in filter(None, (log, samples)):
        opened.close()


def make_updates(
    flamingo: AnyFlamingo,
    updates: Iterator[dict[str, LoadedBatch]],
    plan: Plan,
    phases: Phases,
    agreement: Agreement,
    checkpoints: CheckpointWriter,
    log: RunLog | None,
    samples: SampleLog | None,
) -> None:
    """All updates of the plan, and a checkpoint at each that is due."""
    config, progress, objectives = plan.config, plan.progress, list[float]()
    health, notices = Health(), Notices()
    while progress.update < plan.stop:
        started, before = time.monotonic(), progress
        progress = advance(progress, config)
        phases.enter("data", progress.update)
        batches = next(updates)
        phases.enter("agreement")
        agreement.check(progress.update, planned_calls(before, config))
        measures = measured_update(flamingo, batches, config, progress.update, phases)
        told = health.judge(measures["loss"], measures["gradient_norm"])
        if health.skipped_in_a_row:
            progress = dataclasses.replace(progress, skipped=progress.skipped + 1)
        else:
            objectives.append(measures["objective"])
        keys = agreement.gather(describe_keys(batches) if told else None)
        told = [f"{sentence}; its samples: {', '.join(keys)}" for sentence in told]
        if health.skipped_in_a_row > config.max_skipped:
            checkpoints.finish()
            raise InputError(f"update {progress.update}, as {config.max_skipped} before it: {told[0]}")
        phases.enter("log")
        if log:
            described = describe(progress, measures, config, time.monotonic() - started, phases.take())
            epochs = describe_epochs(before, progress, batches)
            log.write({**described, **epochs, "notes": [*epochs["notes"], *told]})
        if samples:
            samples.write(progress.update, batches)
        phases.enter("checkpoint")
        checkpoints.look()
        due = progress.update % config.checkpoint_every == 0 or progress.update == plan.stop
        if notices.came() or due:
            checkpoints.write(flamingo, progress, statistics.fmean(objectives) if objectives else math.inf)
            objectives.clear()
    checkpoints.finish()


def planned_calls(progress: Progress, config: TrainingConfig) -> dict[str, str]:
    """Which calls this rank is about to make of each dataset; they have to be those of all ranks."""
    world = dist.get_world_size()
    return {
        name: f"{count_micro_batches(config.datasets[name].batch, world, config.micro_batch)} forwards and backwards "
        f"of ZeRO stage {config.zero_stage} in {config.precision} from sample {progress.given[name]} on"
        for name in datasets_of_update(config, progress.given)
    }


def describe_keys(batches: Mapping[str, LoadedBatch]) -> list[str]:
    """This rank's samples of an update."""
    return [f"{name} {key}" for name, loaded in batches.items() for key in loaded.keys]


def open_log(plan: Plan, model: Flamingo) -> RunLog:
    """The log of the rank that keeps it, which also notes how many parameters are trained, and tidies up."""
    delete_unfinished(plan.checkpoints)
    trim_log(plan.output, plan.progress.update)
    write_parameter_counts(plan.output, model)  # before ZeRO shards them
    return RunLog(plan.output, update=plan.progress.update, loggers=plan.config.loggers)


def load_model(config: TrainingConfig, checkpoint: Location | None) -> Flamingo:
    """New adapters drawn from the run's seed, or those to begin with, or the checkpoint's.

    Raises InputError if a backbone is unfit, or the adapters are another model's.
    """
    torch.manual_seed(config.seed)
    try:
        with TemporaryDirectory() as scratch:
            adapters = fetched_adapters(checkpoint, Path(scratch)) if checkpoint else None
            model = Flamingo.from_pretrained(adapters) if adapters else Flamingo.from_backbones(config.model)
            if config.init_from and not checkpoint:
                model.begin_from(read_adapters(Path(config.init_from)))
    except ValueError as error:
        raise InputError(str(error)) from error
    model.checkpoint_activations(config.checkpoint_activations)
    if config.trim_heap:
        trim_heap(model.trained_parameters(), every=config.trim_heap * 1_000_000)
    model.language.z_loss = config.z_loss
    return model


def advance(progress: Progress, config: TrainingConfig) -> Progress:
    """The progress after one more update."""
    more = {name: config.datasets[name].batch for name in datasets_of_update(config, progress.given)}
    given = {name: number + more.get(name, 0) for name, number in progress.given.items()}
    return dataclasses.replace(progress, update=progress.update + 1, given=given)


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


def describe(
    progress: Progress,
    measures: Mapping[str, Any],
    config: TrainingConfig,
    seconds: float,
    phases: Mapping[str, float],
) -> dict[str, Any]:
    """The log's record of one update that took `seconds`, of them in each phase what `phases` says."""
    samples = sum(config.datasets[name].batch for name in measures["tokens"])
    return {
        "update": progress.update,
        **measures,
        "samples_given": dict(progress.given),
        "seconds": seconds,
        "phase_seconds": dict(phases),
        "samples_per_second": samples / seconds,
        "tokens_per_second": sum(measures["tokens"].values()) / seconds,
        **utilisation(measures, seconds),
    }
