"""The memory that a worker's device needs at most, by part, reckoned without a device.

    what ZeRO shares out, by its arithmetic ─┬─► bytes by part
    what a rehearsal keeps for its backward ─┘

`tests/training/test_memory.py` holds it to measured peaks. What CUDA, NCCL and gaps between tensors take besides, a
gigabyte or two, is not in it.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

from model.flamingo import Flamingo
from training.config import DatasetConfig, TrainingConfig
from training.micro_batches import count_micro_batches
from training.rehearsal import Shape, count_peak_bytes

FLOAT, MOMENTS = 4, 8
"""Bytes of a number in float32, and of AdamW's two moments of one."""
KEPT_WHOLE = 1_000_000_000
"""Parameters that ZeRO-3 keeps gathered at once, for they will be needed soon: DeepSpeed's max_live_parameters."""
UNDER_WAY = 150_000_000
"""Parameters that ZeRO-3 has twice while it gathers them: three messages of DeepSpeed's prefetch_bucket_size."""
REDUCE_BUCKET = 50_000_000
"""Most gradient elements that one message carries."""
SHARE_OF_A_PICTURE = 2
"""Of a page's text, even shares that the picture with the most text may have."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def estimate_memory(skeleton: Flamingo, config: TrainingConfig) -> dict[str, int]:
    """Bytes on each worker's device by part, at the peak of an update with more than one backward.

    `skeleton` is in the precision of the run.
    """
    size, stage = DTYPES[config.precision].itemsize, config.zero_stage
    trained, total = count(skeleton.trained_parameters()), count(skeleton.parameters())
    of_weights = config.workers if stage == 3 else 1
    of_states = config.workers if stage else 1
    on_device = 1 if config.offload.optimizer == "none" else 0
    weights_on_device = 1 if config.offload.parameters == "none" else 0
    gathering = size * min(total, UNDER_WAY) if stage == 3 else 0  # at the start, when nothing else is kept
    return {
        "frozen weights": size * (total - trained) * weights_on_device // of_weights,
        "trained weights": size * trained * weights_on_device // of_weights,
        "gradients": FLOAT * trained * on_device // of_states,
        "optimiser": (MOMENTS + (FLOAT if stage else 0)) * trained * on_device // of_states,
        "messages": size * bucket_elements(trained) if stage else 0,
        "gathered weights": size * min(total, KEPT_WHOLE) if stage == 3 else 0,
        "activations": max(gathering, estimate_activations(skeleton, config)),
    }


def estimate_files(model: Flamingo, config: TrainingConfig, workers: int) -> int:
    """Bytes of each worker's files where `offload` keeps some: DeepSpeed writes gradients beside moments and copies."""
    trained, total = count(model.trained_parameters()), count(model.parameters())
    states = (MOMENTS + 2 * FLOAT) * trained if config.offload.optimizer == "nvme" else 0
    weights = DTYPES[config.precision].itemsize * total if config.offload.parameters == "nvme" else 0
    return (states + weights) // workers


def estimate_activations(skeleton: Flamingo, config: TrainingConfig) -> int:
    """Bytes of what a forward and its backward keep, for the dataset whose micro-batch keeps the most."""
    skeleton.checkpoint_activations(config.checkpoint_activations)
    device = "cuda" if config.gpu else "cpu"
    shapes = {largest_shape(dataset, config) for dataset in config.datasets.values()}
    return max(count_peak_bytes(skeleton, shape, device) for shape in shapes)


def largest_shape(dataset: DatasetConfig, config: TrainingConfig) -> Shape:
    """The largest that a worker's micro-batch of the dataset can be, with pages whose pictures share out their text."""
    samples = -(-dataset.batch // config.workers)
    samples = math.ceil(samples / count_micro_batches(dataset.batch, config.workers, config.micro_batch))
    text = dataset.row_tokens or dataset.max_text
    rows = math.ceil(samples * dataset.max_text / text)
    images = dataset.max_images if dataset.kind == "interleaved" else 1
    return Shape(
        rows=rows,
        text=text,
        targets=rows * (text - 1),
        media=samples * images,
        frames=dataset.max_frames if dataset.kind == "video" else 1,
        longest=min(dataset.max_text, math.ceil(SHARE_OF_A_PICTURE * dataset.max_text / images)),
    )


def bucket_elements(trained: int) -> int:
    """Gradient elements that one message carries, of so many trained parameters."""
    return min(REDUCE_BUCKET, trained)


def count(parameters: Iterable[nn.Parameter]) -> int:
    """Numbers in all of them."""
    return sum(parameter.numel() for parameter in parameters)
