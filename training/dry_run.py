"""What a run would take, said without taking any of it: `python -m training.run --config RECIPE --dry-run`.

config ──► skeleton ──► parameters, memory of a worker, operations of an update ──► tables, and days
"""

import logging
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from jobs.command import InputError
from model.flamingo import Flamingo
from training.config import TrainingConfig
from training.devices import find_memory, find_peak
from training.memory import DTYPES, count, estimate_memory
from training.operations import Operations, Work, count_operations
from training.skeleton import build_skeleton

DAY = 24 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of a run."""

    parameters: dict[str, int]
    """By part of the model."""
    memory: dict[str, int]
    """Bytes on each worker's device, by part."""
    work: Work
    """Of an update, with texts as long and pages as full of images as the settings allow."""
    operations: Operations

    def days(self, config: TrainingConfig, peak: float) -> float:
        """Of all updates, on devices of `peak` operations a second."""
        rate = config.workers * peak * config.hardware.utilisation
        return config.updates * self.operations.of(self.work) / rate / DAY


def find_costs(config: TrainingConfig) -> Costs:
    """Raises InputError where the config of a backbone cannot be read."""
    skeleton = find_skeleton(config)
    return Costs(
        parameters=count_parameters(skeleton),
        memory=estimate_memory(skeleton, config),
        work=largest_work(config),
        operations=count_operations(skeleton),
    )


def find_skeleton(config: TrainingConfig) -> Flamingo:
    """The run's model without values, in its precision. Raises InputError where a backbone's config cannot be read."""
    try:
        return build_skeleton(config.model, DTYPES[config.precision])
    except ValueError as error:
        raise InputError(f"model.{error}") from error


def count_parameters(skeleton: Flamingo) -> dict[str, int]:
    """By part of the model; the new tokens' tables belong to no other part."""
    blocks = sum(count(layer.block.parameters()) for layer in skeleton.language.layers() if layer.block is not None)
    resampler, trained = count(skeleton.resampler.parameters()), count(skeleton.trained_parameters())
    vision = count(skeleton.vision.parameters())
    return {
        "vision encoder": vision,
        "resampler": resampler,
        "gated blocks": blocks,
        "language model": count(skeleton.parameters()) - vision - resampler - blocks,
        "of these trained": trained,
        "all": count(skeleton.parameters()),
    }


def largest_work(config: TrainingConfig) -> Work:
    """Of an update of all workers, with texts as long and pages as full of images as the settings allow."""
    sets = config.datasets.values()
    images = [one.batch * (one.max_images if one.kind == "interleaved" else 1) for one in sets]
    return Work(
        tokens=sum(one.batch * one.max_text for one in sets),
        squares=sum(one.batch * one.max_text**2 for one in sets),
        targets=sum(one.batch * (one.max_text - 1) for one in sets),
        media=sum(images),
        frames=sum(
            number * (one.max_frames if one.kind == "video" else 1) for one, number in zip(sets, images, strict=True)
        ),
    )


def print_dry_run(config: TrainingConfig) -> None:
    """Prints what the run would take. Raises InputError where a worker's device has too little memory for it."""
    costs, console = find_costs(config), Console()
    console.print(_table("parameters", {name: f"{number:,}" for name, number in costs.parameters.items()}))
    memory = {**costs.memory, "all": sum(costs.memory.values())}
    console.print(_table("memory of each worker", {name: _bytes(size) for name, size in memory.items()}))
    console.print(_table("operations of an update, TFLOP", describe_operations(costs)))
    console.print(describe_time(costs, config), soft_wrap=True)
    check_memory(costs.memory, config)


def describe_operations(costs: Costs) -> dict[str, str]:
    """Of all workers together, by what they grow with."""
    work, each = costs.work, costs.operations
    rows = {
        f"{work.frames:,.0f} pictures": each.frame * work.frames,
        f"{work.media:,.0f} images and videos": each.medium * work.media,
        f"{work.tokens:,.0f} tokens": each.token * work.tokens + each.square * work.squares,
        f"{work.targets:,.0f} predictions": each.target * work.targets,
        "all": each.of(work),
    }
    return {name: f"{number / 1e12:,.4g}" for name, number in rows.items()}


def describe_time(costs: Costs, config: TrainingConfig) -> str:
    """How long the run would take, or what must be known to say it."""
    peak = find_peak(config.hardware, config.precision, gpu=config.gpu)
    if not peak:
        return "How long it takes depends on the devices: say what one can do with --hardware.peak (in TFLOP/s)."
    days = costs.days(config, peak)
    span = f"{days:,.1f} days" if days >= 1 else f"{24 * days:,.2g} hours"
    return (
        f"{config.updates:,} updates would take {span} on {config.workers:,} workers, at "
        f"{config.hardware.utilisation:.0%} of {peak / 1e12:,g} TFLOP/s each (hardware.utilisation), with texts as "
        "long and pages as full of images as the settings allow."
    )


def check_fits(config: TrainingConfig) -> None:
    """Raises InputError where a worker's GPU is known to have too little memory for the run.

    Backbones that cannot be rehearsed without values are let through, with a warning.
    """
    if not (config.gpu and find_memory(config.hardware)):
        return
    try:
        memory = estimate_memory(build_skeleton(config.model, DTYPES[config.precision]), config)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        logging.getLogger(__name__).warning("whether the run fits its GPUs is not known: %s", error)
        return
    check_memory(memory, config)


def check_memory(memory: dict[str, int], config: TrainingConfig) -> None:
    """Raises InputError where a worker's GPU is known to have too little memory."""
    there, needed = find_memory(config.hardware), sum(memory.values())
    if config.gpu and 0 < there < needed:
        largest = max(memory, key=lambda part: memory[part])
        raise InputError(
            f"the run needs {_bytes(needed)} on each of {config.workers:,} GPUs, {_bytes(memory[largest])} of it for "
            f"{largest}, and they have {_bytes(there)} (hardware.gpu_memory); choose more workers, zero_stage 3, a "
            "smaller micro_batch, checkpoint_activations, or offload"
        )


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _table(title: str, rows: dict[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for row in rows.items():
        table.add_row(*row)
    return table
