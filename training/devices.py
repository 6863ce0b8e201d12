"""What a worker's device can do and hold: as the config states it, or as it is known of the device that is there."""

from collections.abc import Mapping
from typing import Literal

import torch

from training.hardware import HardwareConfig

PEAKS: Mapping[str, tuple[float, float]] = {
    "B200": (2250, 75),
    "H200": (989, 67),
    "H100 PCIe": (756, 51),
    "H100": (989, 67),
    "A100": (312, 19.5),
    "L40S": (362, 91.6),
    "L4": (121, 30.3),
}
"""TFLOP/s in bf16 and in fp32 by what a device's name holds, the first that fits: dense matrices, from NVIDIA's data
sheets. In fp32 torch does not use the tensor cores unless it is told to."""


def find_peak(hardware: HardwareConfig, precision: Literal["fp32", "bf16"], *, gpu: bool) -> float:
    """Operations a second, at most, of one worker's device; 0 where nobody knows."""
    if hardware.peak or not gpu or not torch.cuda.is_available():
        return hardware.peak * 1e12
    return known_peak(torch.cuda.get_device_name(), precision) * 1e12


def known_peak(device: str, precision: Literal["fp32", "bf16"]) -> float:
    """TFLOP/s of the GPU of that name; 0 for an unknown one."""
    found = next((peaks for name, peaks in PEAKS.items() if name in device), (0.0, 0.0))
    return found[0 if precision == "bf16" else 1]


def find_memory(hardware: HardwareConfig) -> float:
    """Bytes of one worker's GPU; 0 where nobody knows."""
    if hardware.gpu_memory or not torch.cuda.is_available():
        return hardware.gpu_memory * 1e9
    return torch.cuda.get_device_properties(0).total_memory
