"""The folder of a run: whose it is, whether it is finished, and what a person is told of it."""

import dataclasses
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.command import InputError
from model.flamingo import Flamingo
from shards.location import Location, locate
from training.config import TrainingConfig
from training.log import read_log
from training.manifest import Checkpoint, fetched_adapters, read_checkpoint
from training.plan import ADAPTERS, Progress, checkpoint_folder, checkpoints_of

RUN = "run.json"
PARAMETERS = "parameters.json"
SUMMARY = "summary.json"
FREE_TO_CHANGE = (
    *("output", "updates", "limit", "workers", "gpu", "checkpoint_every", "persistent_parameters"),
    *("decoders", "prefetch", "skip_bad_shards", "log_samples", "zero_stage", "offload", "micro_batch"),
    *("least_workers", "uneven", "checkpoints", "checkpoint_while_training"),
    *("keep_checkpoints", "checkpoint_failure", "failures", "max_skipped", "stuck_seconds", "checkpoint_activations"),
    *("trim_heap", "measures", "loggers", "hardware", "dry_run"),
)
"""Settings that a run may be continued with other values of: no update depends on them, nor on `updates` unless the
learning rate falls towards the last."""


def claim(config: TrainingConfig) -> None:
    """Makes the output the folder of this run. Raises InputError if it belongs to another run, or is no run's."""
    output, wanted = Path(config.output), identity(config)
    path = output / RUN
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if other := other_setting({name: found.get(name) for name in wanted}, wanted):
            raise InputError(f"output {output} belongs to another run: {other}; choose another folder")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"output {output} is no run's: it holds something else and no {RUN}; choose another folder")
    else:
        _write_json(path, wanted)


def identity(config: TrainingConfig) -> dict[str, Any]:
    """The settings on which the adapters depend, as JSON gives them back."""
    free = set(FREE_TO_CHANGE) - ({"updates"} if config.schedule != "constant" else set())
    record = dataclasses.asdict(config)
    for dataset in record["datasets"].values():
        del dataset["max_bad_samples"]  # who stopped at it may raise it
    return json.loads(json.dumps({name: value for name, value in record.items() if name not in free}))


def check_owner(folder: Location, checkpoint: Checkpoint, config: TrainingConfig) -> None:
    """Raises InputError if the checkpoint in `folder` is another run's, say of another model."""
    wanted = identity(config)
    if other := other_setting({name: checkpoint.run.get(name) for name in wanted}, wanted):
        raise InputError(f"the checkpoint in {folder} belongs to another run: {other}; choose other checkpoints")


def other_setting(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first setting that another run's record gives another value than this run's, in words; None for none."""
    for name in {**wanted, **found}:
        theirs, ours = found.get(name), wanted.get(name)
        if isinstance(theirs, dict) and isinstance(ours, dict):
            if other := other_setting(theirs, ours):
                return other.replace("its ", f"its {name}.", 1)
        elif theirs != ours:
            return f"its {name} is {theirs!r} and this run's is {ours!r}"
    return None


def is_finished(config: TrainingConfig, progress: Progress) -> bool:
    return progress.update >= config.updates and Path(config.output, SUMMARY).exists()


def write_parameter_counts(output: Path, model: Flamingo) -> None:
    """Leaves for the summary how many parameters are trained, of how many."""
    trained = sum(parameter.numel() for parameter in model.trained_parameters())
    total = sum(parameter.numel() for parameter in model.parameters())
    _write_json(output / PARAMETERS, {"parameters_trained": trained, "parameters": total})


def publish_adapters(config: TrainingConfig, update: int) -> None:
    """Copies the adapters of that update's checkpoint to OUTPUT/adapters, whole or not at all."""
    folder = checkpoint_folder(checkpoints_of(config), update)
    target = Path(config.output, ADAPTERS)
    partial = target.with_name(f".{ADAPTERS}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    copy_adapters(folder, partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def copy_adapters(folder: Location, target: Path) -> None:
    """Copies the adapters of the checkpoint in `folder` to `target`."""
    with TemporaryDirectory(dir=target.parent) as scratch:
        shutil.copytree(fetched_adapters(folder, Path(scratch)), target, dirs_exist_ok=True)


def write_summary(config: TrainingConfig) -> dict[str, Any]:
    """The run in a few numbers, from its log; also written to OUTPUT/summary.json."""
    output = Path(config.output)
    records = read_log(output)
    last = records[-1]
    seconds = sum(record["seconds"] for record in records)
    summary = {
        "updates": last["update"],
        "samples": last["samples_given"],
        "bad_samples": latest(records, "bad_samples"),
        "loss_first": latest(records[::-1], "loss"),
        "loss_last": latest(records, "loss"),
        "seconds": seconds,
        "seconds_per_update": statistics.median(record["seconds"] for record in records),
        "samples_per_second": sum(last["samples_given"].values()) / seconds,
        "tokens_per_second": sum(sum(record["tokens"].values()) for record in records) / seconds,
        "peak_memory_mb": max(record["peak_memory_mb"] for record in records),
        **json.loads((output / PARAMETERS).read_text(encoding="utf-8")),
        "adapters": str(output / ADAPTERS),
    }
    _write_json(output / SUMMARY, summary)
    return summary


def latest(records: Sequence[Mapping[str, Any]], measure: str) -> dict[str, Any]:
    """That measure of each dataset in the last of the records that has it: in a round robin not every one does."""
    return {name: value for record in records for name, value in record[measure].items()}


def print_summary(summary: dict[str, Any], config: TrainingConfig) -> None:
    """The summary as a table, and after a run that was limited, what the whole would take."""
    table = Table(title="training", show_header=False)
    for name, value in summary.items():
        table.add_row(name.replace("_", " "), _readable(value))
    console = Console()
    console.print(table)
    if summary["updates"] < config.updates:
        console.print(estimate(summary, config), soft_wrap=True)


def estimate(summary: dict[str, Any], config: TrainingConfig) -> str:
    """The hours and bytes of the whole run, from the updates made so far."""
    folder = checkpoint_folder(checkpoints_of(config), summary["updates"])
    size = sum((folder / name).size() for name in read_checkpoint(folder).files)
    hours = summary["seconds_per_update"] * config.updates / 3600
    checkpoints = -(-config.updates // config.checkpoint_every)
    return (
        f"All {config.updates:,} updates would take {hours:,.2f} hours and {checkpoints * size:,} bytes: "
        f"{checkpoints:,} checkpoints of {size:,} bytes each."
    )


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_readable(number)}" for name, number in value.items())
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _write_json(path: Path, record: dict[str, Any]) -> None:
    locate(str(path)).write((json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
