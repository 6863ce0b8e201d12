"""Which documents each update of a run was made of, as each worker had them: for whoever has to look into a run."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from training.data.mixture import LoadedBatch, Part

SAMPLES = "samples"


class SampleLog:
    """Writes OUTPUT/samples/from-UPDATE-rank-R-of-W.jsonl: this worker's part of each update behind UPDATE."""

    def __init__(self, folder: Path, part: Part, *, update: int) -> None:
        path = folder / SAMPLES / f"from-{update:09d}-rank-{part.rank}-of-{part.world}.jsonl"
        path.parent.mkdir(exist_ok=True)
        self._file = path.open("w", encoding="utf-8")

    def write(self, update: int, batches: Mapping[str, LoadedBatch]) -> None:
        """Adds a line a sample: update, dataset, position, key, epoch, and whether texts attend to the next image."""
        for name, loaded in batches.items():
            for given in loaded.given:
                record = {"update": update, "dataset": name, **dataclasses.asdict(given)}
                self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
