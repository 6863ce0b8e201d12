"""The start of a loader over many shards, in a fresh process: `python -m benchmarks.loader_start FOLDER SIZE BATCH`.

Prints how long its parts took until the first batch, and its peak of memory, in one line of JSON.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

STARTED = time.monotonic()


def simulate_shards(folder: Path, uri: str, number: int) -> None:
    """A dataset of so many shards, all of which are links to the first of the dataset at `uri`."""
    from shards.dataset import open_dataset
    from shards.location import locate
    from shards.manifest import write_manifest

    manifest = open_dataset(uri).manifest
    first = manifest.shards[0]
    folder.mkdir()
    shards = tuple(replace(first, name=f"shard-{place:06d}") for place in range(number))
    for shard in shards:
        for suffix in ("tar", "parquet"):
            os.symlink(Path(uri) / f"{first.name}.{suffix}", folder / f"{shard.name}.{suffix}")
    write_manifest(locate(str(folder)), replace(manifest, shards=shards))


def main(folder: str, size: int, batch: int) -> None:
    import psutil
    from tokenizers import Tokenizer, models, pre_tokenizers

    from model.config import FlamingoConfig
    from training.config import DatasetConfig, TrainingConfig
    from training.data.mixture import Part, load_updates
    from training.data.pictures import Canvas
    from training.data.vocabulary import Vocabulary

    imported = time.monotonic()
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vocabulary = Vocabulary(tokenizer=tokenizer, image=1, end_of_chunk=2, pad=3, beginning=(), end=())
    config = TrainingConfig(
        output="none",
        model=FlamingoConfig(vision="none", language="none"),
        datasets={"pages": DatasetConfig(uri=folder, kind="interleaved", batch=batch)},
    )
    canvas, part = Canvas(size=size, mean=(0.5, 0.5, 0.5)), Part(rank=0, world=1)
    with load_updates(config, vocabulary, canvas, given={"pages": 0}, part=part) as updates:
        opened = time.monotonic()
        next(updates)
        first = time.monotonic()
        peak_memory_mb = _peak_memory_mb()
        of_a_decoder = max(child.memory_info().rss for child in psutil.Process().children()) >> 20
    parts = {
        "imports_seconds": imported - STARTED,
        "opening_seconds": opened - imported,
        "first_batch_seconds": first - opened,
        "peak_memory_mb": peak_memory_mb,
        "memory_mb_of_a_decoder": of_a_decoder,
    }
    print(json.dumps({name: round(value, 2) for name, value in parts.items()}))


def _peak_memory_mb() -> int:
    """Of this process since it began; `resource` would count what its parent had when it was forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) // 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
