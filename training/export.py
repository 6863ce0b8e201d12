"""The adapters of a run's checkpoint in a folder of their own, with a model card.

    python -m training.export RUN STEP OUT

`Flamingo.from_pretrained(OUT)` loads them. The card says what they were trained on, and how the losses went.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.command import InputError
from shards.errors import DatasetError
from shards.location import Location, locate
from training.log import read_log
from training.manifest import Checkpoint, check_files, read_checkpoint, whole_checkpoints
from training.output import RUN, copy_adapters
from training.plan import CHECKPOINTS, checkpoint_folder

CARD = "README.md"
POINTS = 12
"""Updates whose losses the card shows."""


def export(run: Path, update: int, target: Path, checkpoints: Location) -> None:
    """Copies the adapters of that update's checkpoint, of those in `checkpoints`, to `target`, and writes their card.

    Raises InputError if `run` is no run, has no such checkpoint, or `target` is not empty, and DatasetError if the
    checkpoint is not what its manifest says.
    """
    if not (run / RUN).exists():
        raise InputError(f"{run} is no run's folder: it holds no {RUN}")
    folder, whole = checkpoint_folder(checkpoints, update), list(whole_checkpoints(checkpoints))
    if folder not in whole:
        there = ", ".join(str(int(one.name.rpartition("-")[2])) for one in reversed(whole)) or "none"
        raise InputError(f"{run} has no checkpoint of update {update}; it has: {there}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is there already, and is not an empty folder; choose another")
    checkpoint = read_checkpoint(folder)
    check_files(folder, checkpoint.files.items())
    copy_adapters(folder, target)
    settings = json.loads((run / RUN).read_text(encoding="utf-8"))
    records = [record for record in read_log(run) if record["update"] <= update]
    (target / CARD).write_text(describe(settings, checkpoint, records), encoding="utf-8")


def describe(settings: Mapping[str, Any], checkpoint: Checkpoint, records: Sequence[Mapping[str, Any]]) -> str:
    """The card, in Markdown with the hub's front matter."""
    progress, model = checkpoint.progress, settings["model"]
    datasets = [
        [
            name,
            f"`{one['uri']}`",
            one["kind"],
            one["weight"],
            one["batch"],
            progress.given[name],
            progress.datasets[name],
        ]
        for name, one in settings["datasets"].items()
    ]
    names = list(settings["datasets"])
    shown = [records[len(records) * (point + 1) // POINTS - 1] for point in range(POINTS)] if records else []
    losses = {
        one["update"]: [one["update"], *(f"{one['loss'][name]:.4f}" if name in one["loss"] else "" for name in names)]
        for one in shown
    }
    optimiser = ["learning_rate", "schedule", "warmup", "weight_decay", "clip", "precision", "seed"]
    return "\n".join(
        [
            *("---", "library_name: flamboyance", "pipeline_tag: image-text-to-text", "---", ""),
            *("# Flamingo adapters", ""),
            f"Trained for {progress.update:,} updates ({progress.skipped} of them skipped) between the frozen vision",
            f"encoder `{model['vision']}` and the frozen language model `{model['language']}`.",
            *("", "    Flamingo.from_pretrained(FOLDER)", "", "## Data", ""),
            *_table(["name", "where", "kind", "weight", "batch", "samples given", "manifest's SHA-256"], datasets),
            *("", "## Optimisation", ""),
            *_table(["setting", "value"], [[name, settings[name]] for name in optimiser]),
            *("", "## Losses (mean of -log p a token, in nats)", ""),
            *_table(["update", *names], list(losses.values())),
            "",
        ]
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    cells = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]


def main(argv: Sequence[str] | None = None) -> int:
    """Says where the adapters are; the exit code is 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the output folder of a run")
    parser.add_argument("step", type=int, help="the update whose checkpoint to take")
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--checkpoints", help="where the run's checkpoints are, if not in RUN/checkpoints")
    arguments = parser.parse_args(argv)
    try:
        checkpoints = locate(arguments.checkpoints or str(arguments.run / CHECKPOINTS))
        export(arguments.run, arguments.step, arguments.out, checkpoints)
    except (InputError, DatasetError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"the adapters of update {arguments.step} and their card are in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
