"""Train a Flamingo's adapters on datasets of pages, pairs and videos: Ray Train starts DeepSpeed ZeRO-3 workers."""

from collections.abc import Sequence
from pathlib import Path

from jobs.command import run_command
from jobs.connect import check_shared, connect
from shards.location import locate
from training.config import TrainingConfig
from training.inputs import check_backbones, check_datasets, with_absolute_paths
from training.launch import start_workers
from training.log import trim_log
from training.output import claim, is_finished, print_summary, publish_adapters, write_summary
from training.plan import Plan, Progress, last_checkpoint
from training.progress import follow


def run(config: TrainingConfig) -> None:
    """Trains, or goes on with, the run of `config`; leaves its adapters in OUTPUT/adapters.

    Raises InputError or DatasetError, before any worker starts, where an input is missing or the output belongs to
    another run.
    """
    config = with_absolute_paths(config)
    manifests = check_datasets(config)
    check_backbones(config)
    claim(config)
    progress = find_progress(config, manifests)
    if is_finished(config, progress):
        print(f"{config.output} already holds this run's {progress.update} updates; nothing to do.")
        return
    connect()
    check_shared("output", locate(config.output))
    stop = min(config.updates, progress.update + (config.limit or config.updates))
    trim_log(Path(config.output), progress.update)
    if progress.update < stop:
        with follow(Path(config.output), start=progress.update, stop=stop):
            start_workers(Plan(config=config, progress=progress, stop=stop))
    publish_adapters(config, stop)
    print_summary(write_summary(config), config)


def find_progress(config: TrainingConfig, manifests: dict[str, str]) -> Progress:
    """Where the run is: at its last whole checkpoint, or at the beginning.

    Raises DatasetError if a dataset has changed since that checkpoint.
    """
    found = last_checkpoint(Path(config.output))
    if found is None:
        return Progress(update=0, given=dict.fromkeys(config.datasets, 0), datasets=manifests)
    found.check_datasets(manifests)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(TrainingConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
