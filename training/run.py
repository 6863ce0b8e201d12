"""Train a Flamingo's adapters on datasets of pages, pairs and videos: Ray Train starts DeepSpeed ZeRO-3 workers."""

from collections.abc import Sequence
from pathlib import Path

from jobs.command import run_command
from jobs.connect import check_shared, connect
from shards.claim import claim as claim_folder
from shards.location import locate
from training.config import TrainingConfig
from training.dry_run import check_fits, print_dry_run
from training.inputs import (
    check_adapters,
    check_backbones,
    check_datasets,
    check_shares,
    check_writable,
    with_absolute_paths,
)
from training.launch import start_workers
from training.log import trim_log
from training.loggers import check_loggers
from training.manifest import check_files, last_checkpoint
from training.output import check_owner, claim, is_finished, print_summary, publish_adapters, write_summary
from training.plan import Plan, Progress, checkpoints_of
from training.progress import follow


def run(config: TrainingConfig) -> None:
    """Trains, or goes on with, the run of `config`; leaves its adapters in OUTPUT/adapters.

    Raises InputError or DatasetError, before any worker starts, where an input is missing or the output belongs to
    another run.
    """
    check_shares(config)
    if config.dry_run:
        print_dry_run(config)
        return
    config = with_absolute_paths(config)
    manifests = check_datasets(config)
    check_backbones(config)
    check_fits(config)
    check_adapters(config)
    check_loggers(config.loggers)
    claim(config)
    claim_folder(locate(config.output))
    progress = find_progress(config, manifests)
    if is_finished(config, progress):
        print(f"{config.output} already holds this run's {progress.update} updates; nothing to do.")
        return
    check_writable("checkpoints", checkpoints_of(config))
    connect()
    check_shared("output", locate(config.output))
    check_shared("checkpoints", checkpoints_of(config))
    stop = min(config.updates, progress.update + (config.limit or config.updates))
    trim_log(Path(config.output), progress.update)
    if progress.update < stop:
        with follow(Path(config.output), start=progress.update, stop=stop):
            start_workers(Plan(config=config, progress=progress, stop=stop))
    publish_adapters(config, stop)
    print_summary(write_summary(config), config)


def find_progress(config: TrainingConfig, manifests: dict[str, str]) -> Progress:
    """Where the run is: at its last whole checkpoint, or at the beginning.

    Raises InputError if that checkpoint is another run's, and DatasetError if a file of it, or a dataset, has changed.
    """
    found = last_checkpoint(checkpoints_of(config))
    if found is None:
        return Progress(update=0, given=dict.fromkeys(config.datasets, 0), datasets=manifests)
    folder, checkpoint = found
    check_owner(folder, checkpoint, config)
    checkpoint.progress.check_datasets(manifests)
    check_files(folder, checkpoint.files.items())
    return checkpoint.progress


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(TrainingConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
