"""How long an update's collectives take, waiting for other ranks included: by torch's profiler, so of some updates.

They may overlap what a worker computes meanwhile, so that their seconds are no part of an update's phases.
"""

from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile

GLOO, NCCL = "gloo:", "ncclDevKernel_"
"""How the profiler calls gloo's collectives (gloo:all_reduce), and NCCL's kernels (ncclDevKernel_AllGather_RING_LL)."""


@contextmanager
def timed_collectives() -> Generator[dict[str, float]]:
    """Seconds by collective of what the block does on this rank; they are there when it has ended."""
    seconds = defaultdict[str, float](float)
    on_gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with profile(activities=[ProfilerActivity.CPU, *on_gpu]) as found:
        yield seconds
    assert found.profiler
    assert found.profiler.kineto_results
    for event in found.profiler.kineto_results.events():
        name = event.name()
        if name.startswith(GLOO):
            seconds[name.removeprefix(GLOO)] += event.duration_ns() / 1e9
        elif name.startswith(NCCL):
            seconds[name.removeprefix(NCCL).partition("_")[0]] += event.duration_ns() / 1e9
