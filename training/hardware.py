"""The part of a run's config that says what its workers run on."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """What the workers run on. No update depends on it."""

    # No slots: jsonargparse reads the fields of a default with vars().
    gpu_memory: float = 0.0
    """GB (10^9 bytes) of a worker's GPU; 0 asks the GPU of this machine, where there is one. What needs more is
    refused."""
    peak: float = 0.0
    """TFLOP/s that a worker's device can do at most in the run's precision; 0 takes what its maker states, where the
    device is known. The log's utilisation is a share of it."""
    utilisation: float = 0.4
    """Share of the peak with which a dry run reckons."""

    def __post_init__(self) -> None:
        for name in ("gpu_memory", "peak"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number of at least 0")
        if not 0 < self.utilisation <= 1:
            raise ValueError(f"utilisation is {self.utilisation}; it must be greater than 0, and at most 1")
