"""What Ray Train, ZeRO-3 and waiting for data cost an update, what packing gains, and what saving and loading take.

    python -m benchmarks.train

    a recipe ──► sides in turns, each in processes of its own ──► their logs ──► seconds an update ──► ratios

Random weights at the shapes of OPT-125M and CLIP ViT-B/32, pages and pairs of real photographs and text. A figure is
the median over rounds of a ratio of two sides in the same round. It goes by the clock, so nothing else should run.

What Ray Train costs is measured where Ray's own processes have a core to run on, as beside GPUs: one worker, on two
cores. Where workers take every core, these processes take turns with them, and all workers wait for each: that is told
apart.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.illustrated_pages import find_photographs, find_words, write_pages
from benchmarks.report import machine
from benchmarks.train_material import OPT_125M, SMALL, write_backbones, write_pairs
from jobs.command import InputError, run_command
from model.batch import FlamingoBatch
from model.flamingo import Flamingo
from training.config import DatasetConfig, TrainingConfig
from training.data.mixture import Part, load_updates
from training.data.pictures import Canvas
from training.data.vocabulary import vocabulary_of
from training.log import read_log
from training.micro_batches import count_targets
from training.operations import Operations, Work, count_operations
from training.skeleton import build_skeleton

UNCOUNTED = 2
"""Updates of a side before those that are counted."""
ROW_TOKENS = 256
MUST = {
    "ray_overhead": "<= 0.03",
    "ray_overhead_without_a_free_core": "reported",
    "zero3_overhead": "reported here; <= 0.1 on a GPU",
    "data_wait_share": "< 0.05",
    "packing_share_of_bound": ">= 0.9",
    "growth_to_2_workers": "reported",
    "save_seconds": "reported",
    "load_seconds": "reported",
}
ONE = {"workers": 1}
ALONE = {"zero_stage": 0, "workers": 1}
SIDES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "ray": ("ray", "pages", ONE),
    "plain": ("plain", "pages", ONE),
    "ray on all cores": ("ray", "pages", {}),
    "plain on all cores": ("plain", "pages", {}),
    "torch alone": ("plain", "pages", {"zero_stage": 0}),
    "one worker": ("plain", "pages", ALONE),
    "padded": ("plain", "pairs", ALONE),
    "packed": ("plain", "packed pairs", ALONE),
    "checkpoint": ("checkpoint", "pages", {}),
}
"""Of each: what `benchmarks.train_side` calls it, the data, and what else differs from the recipe."""
Figures = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainBenchmarkConfig:
    """A run of `benchmarks.train`."""

    material: str = "../shared/material"
    """Folder of real material, whose photographs and texts the data are made of."""
    rounds: int = 3
    """Rounds, in each of which every side has its turn."""
    updates: int = 4
    """Updates of a side that are counted, behind two that are not."""
    batch: int = 2
    """Pages of an update."""
    pairs: int = 16
    """Pairs of an update, by which packing is measured."""
    small: bool = False
    """Take a model of no size, to try the benchmark itself."""

    def __post_init__(self) -> None:
        for name in ("rounds", "updates", "batch", "pairs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")


def run(config: TrainBenchmarkConfig) -> None:
    """Prints a line a side and round, and one line of JSON. Raises InputError where there is no material."""
    material = Path(config.material)
    frames, words = find_photographs(material, 320), find_words(material)
    if not frames or not words:
        raise InputError(f"material {config.material!r} holds no photographs, or no articles in pages/readability")
    with TemporaryDirectory() as scratch:
        folder, updates = Path(scratch), config.updates + UNCOUNTED
        model = write_backbones(folder, words, SMALL if config.small else OPT_125M)
        pages = write_pages(folder / "pages", frames, words, 2 * config.batch * updates, 2)
        pairs = write_pairs(folder / "pairs", frames, words, config.pairs * updates)
        short = DatasetConfig(uri=pairs, kind="pair", batch=config.pairs, max_text=64)
        datasets = {
            "pages": DatasetConfig(uri=pages, kind="interleaved", batch=config.batch),
            "pairs": short,
            "packed pairs": replace(short, row_tokens=ROW_TOKENS),
        }
        recipe = TrainingConfig(output="set by each side", model=model, datasets=datasets, updates=updates)
        rounds = [measure_round(recipe, folder / f"round-{number}") for number in range(config.rounds)]
        bound = packing_bound(recipe)
    print(json.dumps(report(rounds, bound)))


def measure_round(recipe: TrainingConfig, folder: Path) -> dict[str, Figures]:
    """Of each side, its figures."""
    folder.mkdir()
    return {name: measure(name, recipe, folder) for name in SIDES}


def measure(name: str, recipe: TrainingConfig, folder: Path) -> Figures:
    """Runs a side in a process of its own. Raises InputError if it fails."""
    how, data, changes = SIDES[name]
    output = folder / name.replace(" ", "-")
    side = replace(recipe, output=str(output), datasets={data: recipe.datasets[data]}, **changes)
    path = output.with_suffix(".yaml")
    path.write_text(json.dumps(asdict(side)), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "benchmarks.train_side", how, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{name} failed: {done.stderr.strip().splitlines()[-1]}")
    figures = json.loads(done.stdout.splitlines()[-1]) if how == "checkpoint" else read_figures(output)
    print(f"{name}: {', '.join(f'{figure} {value:.3f}' for figure, value in figures.items())}", flush=True)
    return figures


def read_figures(output: Path) -> dict[str, float]:
    """The median seconds of an update of the run in `output`, and the share of them all that it waited for data."""
    records = read_log(output)[UNCOUNTED:]
    waited = sum(record["phase_seconds"]["data"] for record in records)
    return {
        "seconds": median(record["seconds"] for record in records),
        "data_wait_share": waited / sum(record["seconds"] for record in records),
    }


def packing_bound(recipe: TrainingConfig) -> float:
    """How many times faster packed pairs could be, if time were the operations of texts with their padding."""
    flamingo = Flamingo.from_backbones(recipe.model)
    each = count_operations(build_skeleton(recipe.model))
    padded, packed = (count_with_padding(flamingo, recipe, data, each) for data in ("pairs", "packed pairs"))
    return padded / packed


def count_with_padding(flamingo: Flamingo, recipe: TrainingConfig, data: str, each: Operations) -> float:
    """The operations of the recipe's counted updates on one of its datasets, for one worker."""
    side = replace(recipe, datasets={data: recipe.datasets[data]}, decoders=0)
    canvas, part = Canvas(size=flamingo.image_size, mean=flamingo.image_mean), Part(rank=0, world=1)
    with load_updates(side, vocabulary_of(flamingo.tokenizer), canvas, given={data: 0}, part=part) as updates:
        batches = [update[data].batch for update in islice(updates, UNCOUNTED, recipe.updates)]
    return sum(each.of(work_with_padding(batch)) for batch in batches)


def work_with_padding(batch: FlamingoBatch) -> Work:
    """What the model goes through for the batch, whether it is text or not."""
    rows, text = batch.input_ids.shape
    frames = float(batch.frame_mask.sum())
    return Work(
        tokens=rows * text, squares=rows * text**2, targets=count_targets(batch), media=len(batch.pixels), frames=frames
    )


def report(rounds: Sequence[Mapping[str, Figures]], bound: float) -> dict[str, Any]:
    """Every target with its value and what it must be, the seconds of the sides, and the machine."""
    values = {
        "ray_overhead": ratio(rounds, "ray", "plain") - 1,
        "ray_overhead_without_a_free_core": ratio(rounds, "ray on all cores", "plain on all cores") - 1,
        "zero3_overhead": ratio(rounds, "plain on all cores", "torch alone") - 1,
        "data_wait_share": median(one["ray on all cores"]["data_wait_share"] for one in rounds),
        "packing_share_of_bound": ratio(rounds, "padded", "packed") / bound,
        "growth_to_2_workers": ratio(rounds, "one worker", "torch alone"),
        "save_seconds": median(one["checkpoint"]["save"] for one in rounds),
        "load_seconds": median(one["checkpoint"]["load"] for one in rounds),
    }
    timed = [name for name in SIDES if name != "checkpoint"]
    return {
        "benchmark": "train",
        "targets": {name: {"value": round(values[name], 3), "must": must} for name, must in MUST.items()},
        "seconds": {name: round(median(one[name]["seconds"] for one in rounds), 3) for name in timed},
        "packing_bound": round(bound, 3),
        "machine": machine(),
    }


def ratio(rounds: Sequence[Mapping[str, Figures]], one: str, other: str) -> float:
    """The median over rounds of one side's seconds over another's."""
    return median(sides[one]["seconds"] / sides[other]["seconds"] for sides in rounds)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(TrainBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
