"""Workers without Ray that make an update of two batches, and measure the most memory that tensors took in it."""

import gc
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.profiler import ProfilerActivity, profile

from model.batch import FlamingoBatch
from training.config import TrainingConfig
from training.memory import largest_shape
from training.rehearsal import Shape


def measure_peaks(configs: Mapping[str, TrainingConfig], folder: Path) -> dict[str, int]:
    """Of each of these runs of one dataset: the bytes of all tensors of a worker at the peak of an update."""
    (world,) = {config.workers for config in configs.values()}
    os.environ["DS_ACCELERATOR"] = "cpu"
    spawn(_work, args=(world, configs, folder), nprocs=world)
    return json.loads((folder / "peaks.json").read_text())


def _work(rank: int, world: int, configs: Mapping[str, TrainingConfig], folder: Path) -> None:
    os.environ["LOCAL_RANK"] = str(rank)  # DeepSpeed insists
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)
    peaks = {name: _measure(config) for name, config in configs.items()}
    if rank == 0:
        (folder / "peaks.json").write_text(json.dumps(peaks))
    dist.destroy_process_group()


def _measure(config: TrainingConfig) -> int:
    from training.engine import shard
    from training.loop import load_model

    def update() -> None:
        for _ in range(2):
            flamingo.backward(flamingo.loss_sum(batch), weight=1.0, tokens=1)
        flamingo.step(1e-3)

    before = _bytes_of_tensors()
    (dataset,) = config.datasets.values()
    model = load_model(config, None)
    batch = make_batch(largest_shape(dataset, config), model.image_size)
    flamingo = shard(model, config, torch.device("cpu"), Path())
    update()
    ready = _bytes_of_tensors()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        update()
    return ready - before + _most_allocated(profiler)


def make_batch(shape: Shape, size: int) -> FlamingoBatch:
    """Texts of equal length, and media that share them out so that one has `shape.longest` tokens."""
    ids = torch.randint(4, 12, (shape.rows, shape.text))
    others = torch.arange(shape.media).repeat_interleave(-(-shape.rows * shape.text // shape.media))
    media_index = others[: ids.numel()].clone()
    media_index[: shape.longest] = 0
    return FlamingoBatch(
        input_ids=ids,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        media_index=media_index.view_as(ids),
        pixels=torch.zeros(shape.media, shape.frames, 3, size, size, dtype=torch.uint8),
        frame_mask=torch.ones(shape.media, shape.frames, dtype=torch.bool),
        labels=ids,
    )


def _bytes_of_tensors() -> int:
    """Of all tensors that Python sees, each storage once."""
    gc.collect()
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in gc.get_objects()
        if type(one) in (torch.Tensor, torch.nn.Parameter)
    }
    return sum(storages.values())


def _most_allocated(profiler: profile) -> int:
    """The most bytes beyond those at its start, by what torch's allocator reports."""
    results: Any = profiler.profiler and profiler.profiler.kineto_results
    events = [event for event in results.events() if event.name() == "[memory]"]
    most = now = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most
