"""The whole journey on one machine: a site of real pictures to a Flamingo that names what it is shown.

Every leg is the command that a user would type, on an embedded Ray; each is printed before it runs.
"""

import json
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from demo import backbones
from demo.clips import write_clips
from demo.findings import Findings
from demo.held_out import accuracies, answer_held_out
from demo.memory import Peak, watching_memory
from demo.report import write_report
from demo.server import serve
from demo.site import build_site, write_pairs
from jobs.command import InputError, run_command
from model.flamingo import Flamingo
from pipeline import pairs, video, web
from shards.dataset import open_dataset
from training import run as training

MARK = "demo.json"
"""The file by which a folder is known as a demo's, which the next demo may replace."""
LOOPBACK = ("--allow_network", "127.0.0.0/8", "--fetch.delay_seconds", "0")
"""The site is on this machine, which the jobs refuse to ask unless told, and is ours to ask without pause."""
SEED = 0


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """The demo."""

    output: Path = Path("runs/demo")
    """Folder for everything; an earlier demo's is replaced."""
    recipe: Path = Path("recipes/demo.yaml")
    """The training run; its paths are replaced by those of `output`."""
    updates: int | None = None
    """Updates of the training, instead of the recipe's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """The legs of one demo, and the commands that were run."""

    folder: Path
    commands: list[str]

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def command(self, module: str, main: Callable[[Sequence[str]], int], *argv: str) -> None:
        """Runs a leg in this process as its command line would. Raises InputError if it refuses."""
        line = shlex.join(("python", "-m", module, *argv))
        Console(soft_wrap=True).print(f"\n$ {line}", style="bold", markup=False)
        self.commands.append(line)
        if main(argv) != 0:
            raise InputError(f"the demo stopped, because `{line}` did")


def run(config: DemoConfig) -> None:
    """Builds the world, goes the whole way, and leaves report.html and summary.json."""
    started = time.monotonic()
    journey = Journey(folder=fresh_folder(config.output), commands=[])
    with watching_memory() as peak:
        base_url = gather(journey)
        journey.command("demo.backbones", backbones.main, *backbone_flags(journey))
        journey.command("training.run", training.main, *training_flags(journey, config))
        flamingo = Flamingo.from_pretrained(journey.path("training/adapters"))
        answers = answer_held_out(flamingo, SEED)
    summary = {**counts(journey), **accuracies(answers), **parameters(flamingo), **cost(started, peak)}
    findings = Findings(
        web=journey.path("m3w"),
        pairs=journey.path("pairs"),
        videos=journey.path("videos"),
        site=journey.folder / "site",
        base_url=base_url,
        log=journey.folder / "training" / "log.jsonl",
        summary=summary,
        answers=answers,
        commands=journey.commands,
    )
    write_report(journey.folder, findings)
    (journey.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print_ending(journey, summary)


def fresh_folder(folder: Path) -> Path:
    """An empty folder with a demo's mark. Raises InputError if there is one that no demo made."""
    if folder.exists():
        if not (folder / MARK).exists() and any(folder.iterdir()):
            raise InputError(f"output {folder} holds something that no demo made; give another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).write_text(json.dumps({"seed": SEED}))
    return folder


def gather(journey: Journey) -> str:
    """Makes the world and scrapes it; returns the address that the site had."""
    pages = build_site(journey.folder / "site", SEED)
    write_clips(journey.folder / "clips", seed=SEED)
    with serve(journey.folder / "site") as base_url:
        write_pairs(pages, base_url, journey.folder / "pairs.parquet", SEED)
        start = ("--start", f"{base_url}index.html", "--follow", "true")
        journey.command("pipeline.web", web.main, *start, "--output", journey.path("m3w"), *LOOPBACK)
        listed = ("--input", journey.path("pairs.parquet"))
        journey.command("pipeline.pairs", pairs.main, *listed, "--output", journey.path("pairs"), *LOOPBACK)
    clips = ("--input", journey.path("clips"))
    journey.command("pipeline.video", video.main, *clips, "--output", journey.path("videos"))
    return base_url


def backbone_flags(journey: Journey) -> list[str]:
    texts = json.dumps([journey.path("m3w"), journey.path("videos")])
    return ["--pairs", journey.path("pairs"), "--texts", texts, "--output", journey.path("backbones")]


def training_flags(journey: Journey, config: DemoConfig) -> list[str]:
    paths = {
        "model.vision": "backbones/vision",
        "model.language": "backbones/language",
        "datasets.m3w.uri": "m3w",
        "datasets.pairs.uri": "pairs",
        "datasets.videos.uri": "videos",
        "output": "training",
    }
    flags = [word for field, name in paths.items() for word in (f"--{field}", journey.path(name))]
    updates = ["--updates", str(config.updates)] if config.updates else []
    return ["--config", str(config.recipe), *flags, *updates]


def counts(journey: Journey) -> dict[str, float]:
    """What each leg made: pages, documents, images, pairs, videos, updates."""
    site = open_dataset(journey.path("m3w")).manifest
    trained = json.loads(Path(journey.path("training/summary.json")).read_text())
    return {
        "pages": site.counts["pages"],
        "documents": site.documents,
        "images": site.counts["images"],
        "pairs": open_dataset(journey.path("pairs")).manifest.documents,
        "videos": open_dataset(journey.path("videos")).manifest.documents,
        "updates": trained["updates"],
    }


def parameters(flamingo: Flamingo) -> dict[str, float]:
    return {
        "trained_parameters": sum(parameter.numel() for parameter in flamingo.trained_parameters()),
        "total_parameters": sum(parameter.numel() for parameter in flamingo.parameters()),
    }


def cost(started: float, peak: Peak) -> dict[str, float]:
    return {"seconds": round(time.monotonic() - started, 1), "peak_rss_mb": round(peak.bytes / 1e6)}


def print_ending(journey: Journey, summary: dict[str, float]) -> None:
    console = Console(soft_wrap=True)
    console.rule("what the trained model says of digits that it never saw", align="left")
    console.print(
        f"names the digit shown: {summary['accuracy']:.1%}; with a blank image: {summary['accuracy_blank']:.1%}; "
        f"with another digit's image, that digit: {summary['accuracy_wrong_image']:.1%}"
    )
    console.print(f"{summary['seconds']:.0f} s; {journey.folder}/report.html shows what happened")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(DemoConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
