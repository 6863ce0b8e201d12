"""A training step beside OpenFlamingo 2.0.1's: seconds, memory, and what attention by image and caches gain.

    OPEN_FLAMINGO=FOLDER python -m benchmarks.model        # its repository; einops and einops-exts beside it

Sides take turns, each in a process of its own with as many threads as there are cores; a figure is the median over the
rounds of each process's best step.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.report import machine
from jobs.command import InputError, run_command

Figures = Mapping[str, float]
SIDES = [(side, precision) for precision in ("fp32", "bf16") for side in ("open_flamingo", "ours", "masked")]
MUST = {"step_ratio_fp32": 0.85, "step_ratio_bf16": 0.7, "memory_ratio_fp32": 0.7}
"""The most that each may be."""


@dataclass(frozen=True, kw_only=True)
class ModelBenchmarkConfig:
    """A run of `benchmarks.model`."""

    rounds: int = 3
    """Rounds over all sides."""
    steps: int = 3
    """Steps that are timed in each process, after one that is not."""

    def __post_init__(self) -> None:
        for name in ("rounds", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")


def run(config: ModelBenchmarkConfig) -> None:
    """Prints a line for each side, and one line of JSON. Raises InputError if OpenFlamingo is not there."""
    folder = os.environ.get("OPEN_FLAMINGO", "")
    if not Path(folder, "open_flamingo", "src").is_dir():
        raise InputError(f"OPEN_FLAMINGO is {folder!r}; it must name the folder of OpenFlamingo's repository")
    taken: dict[str, list[Figures]] = {f"{side} {precision}": [] for side, precision in SIDES}
    for _ in range(config.rounds):
        for side, precision in SIDES:
            taken[f"{side} {precision}"].append(measured(side, precision, config.steps))
    sides = {name: medians(figures) for name, figures in taken.items()}
    for name, figures in sides.items():
        shown = ", ".join(f"{value:.2f} {figure}" for figure, value in figures.items() if figure != "trained")
        print(f"{name:20} {shown}")
    generation = {how: measured("generation", how, 0)["tokens_per_second"] for how in ("cached", "uncached")}
    print(json.dumps(report(sides, generation)))


def measured(side: str, precision: str, steps: int) -> Figures:
    """What one side prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.model_sides", side, precision, str(steps)]
    environment = os.environ | {"OMP_NUM_THREADS": str(os.cpu_count())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{side} in {precision} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    """Each figure over the rounds."""
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}


def report(sides: Mapping[str, Figures], generation: Figures) -> dict[str, object]:
    """The line that a program reads."""
    more = {"tokens_per_second_8_shots": generation, "sides": sides}
    return {"benchmark": "model", "targets": targets(sides), **more, "machine": machine()}


def targets(sides: Mapping[str, Figures]) -> dict[str, dict[str, object]]:
    """The ratios to OpenFlamingo. Raises InputError where the two do not train as many parameters."""
    trained = {name: int(figures["trained"]) for name, figures in sides.items()}
    if len(set(trained.values())) > 1:
        raise InputError(f"the sides train different numbers of parameters outside the embeddings: {trained}")
    values = {
        "step_ratio_fp32": sides["ours fp32"]["seconds"] / sides["open_flamingo fp32"]["seconds"],
        "step_ratio_bf16": sides["ours bf16"]["seconds"] / sides["open_flamingo bf16"]["seconds"],
        "memory_ratio_fp32": sides["ours fp32"]["gigabytes"] / sides["open_flamingo fp32"]["gigabytes"],
    }
    return {name: {"value": round(value, 3), "must": f"<= {MUST[name]}"} for name, value in values.items()}


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(ModelBenchmarkConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
