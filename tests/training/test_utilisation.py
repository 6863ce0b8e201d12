"""How much of its devices' peak an update takes: what its texts and pictures need, without padding and dummies."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from model.batch import IGNORED, FlamingoBatch
from training.config import TrainingConfig
from training.data.mixture import LoadedBatch
from training.devices import find_memory, find_peak, known_peak
from training.hardware import HardwareConfig
from training.operations import Work
from training.utilisation import count_work, measure_operations, operations_of, utilisation

PADDED = FlamingoBatch(
    input_ids=torch.zeros(2, 4, dtype=torch.int64),
    attention_mask=torch.tensor([[True] * 4, [True, True, False, False]]),
    media_index=torch.tensor([[-1, 0, 1, 1], [-1, 3, -1, -1]]),
    pixels=torch.zeros(4, 2, 3, 1, 1, dtype=torch.uint8),
    frame_mask=torch.tensor([[True, True], [True, False], [True, True], [True, False]]),
    labels=torch.tensor([[IGNORED, 5, 6, 7], [IGNORED, 5, IGNORED, IGNORED]]),
)
"""Texts of four tokens and of two; the third of four media is seen by none."""


def test_padding_and_media_that_nothing_sees_are_no_work():
    assert count_work(PADDED) == Work(tokens=6, squares=16 + 4, targets=4, media=3, frames=4)


def test_texts_that_share_a_row_are_texts_of_their_own():
    packed = dataclasses.replace(PADDED, document=torch.tensor([[0, 1, 1, 1], [0, 0, -1, -1]]))
    assert count_work(packed).squares == 1 + 9 + 4
    assert count_work(packed).tokens == 6
    assert count_work(packed).targets == 3  # the first token of a text is not predicted


def test_utilisation_is_the_operations_over_what_the_devices_can_do(
    make_config: Callable[..., TrainingConfig], tmp_path: Path
):
    config = make_config(tmp_path, hardware=HardwareConfig(peak=0.001))
    batches = {"pages": LoadedBatch(batch=PADDED, given=(), bad={}, epoch_samples=1)}
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    found = measure_operations(batches, config, torch.device("cpu"))
    unknown = measure_operations(batches, make_config(tmp_path), torch.device("cpu"))
    dist.destroy_process_group()

    each = operations_of(config.model)
    assert each
    assert found == {"operations": each.of(count_work(PADDED)), "peak_operations_per_second": 1e9}
    assert utilisation(found, 0.5) == {"utilisation": pytest.approx(found["operations"] / 0.5e9)}
    assert unknown == utilisation(unknown, 0.5) == {}


def test_backbones_that_cannot_be_counted_stop_no_run(make_config: Callable[..., TrainingConfig], tmp_path, caplog):
    model = dataclasses.replace(make_config(tmp_path).model, language=str(tmp_path / "none"))

    assert operations_of(model) is None
    assert "utilisation is not logged: language is" in caplog.text


@pytest.mark.parametrize(
    ("device", "bf16", "fp32"),
    [
        ("NVIDIA H100 80GB HBM3", 989, 67),
        ("NVIDIA H100 PCIe", 756, 51),
        ("NVIDIA A100-SXM4-40GB", 312, 19.5),
        ("NVIDIA L40S", 362, 91.6),
        ("NVIDIA L4", 121, 30.3),
        ("Tesla T4", 0, 0),
    ],
)
def test_the_peak_of_a_known_gpu(device: str, bf16: float, fp32: float):
    assert (known_peak(device, "bf16"), known_peak(device, "fp32")) == (bf16, fp32)


def test_what_is_stated_goes_before_what_is_known():
    stated = HardwareConfig(peak=10, gpu_memory=80)
    assert find_peak(stated, "bf16", gpu=True) == 10e12
    assert find_memory(stated) == 80e9
    assert find_peak(HardwareConfig(), "bf16", gpu=False) == 0
