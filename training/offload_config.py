"""What of a model and its optimiser is kept elsewhere than in the workers' GPUs."""

from dataclasses import dataclass
from typing import Literal

Place = Literal["none", "cpu", "nvme"]


@dataclass(frozen=True, kw_only=True)
class OffloadConfig:
    """Where ZeRO keeps what a GPU has no room for; no update depends on it."""

    optimizer: Place = "none"
    """Of the optimiser's moments and fp32 parameters: the CPU's memory (zero_stage 2 or 3) or files (3)."""
    parameters: Place = "none"
    """Of all parameters, the frozen backbones' too: the CPU's memory, or files (bf16 alone; both zero_stage 3)."""
    folder: str = ""
    """Folder on a fast disk of every node, NVMe say, for what is kept in files; the workers' own are deleted at the
    end."""

    def check(self, zero_stage: int, precision: str) -> None:
        """Raises ValueError where ZeRO of that stage cannot do it in that precision."""
        least = 3 if self.parameters != "none" or self.uses_files else 2 if self.optimizer != "none" else 0
        if zero_stage < least:
            raise ValueError(
                f"zero_stage is {zero_stage}, and offload.optimizer {self.optimizer} with offload.parameters "
                f"{self.parameters} needs {least} or higher"
            )
        if self.parameters == "nvme" and precision != "bf16":  # DeepSpeed's files hold numbers of 16 bits
            raise ValueError(f"precision is {precision}, and offload.parameters nvme would round them; choose bf16")
        if self.uses_files != bool(self.folder):
            raise ValueError(
                f"offload.folder is {self.folder!r}, offload.optimizer {self.optimizer} and offload.parameters "
                f"{self.parameters}; a folder is for what is kept on nvme, and needed there"
            )

    @property
    def uses_files(self) -> bool:
        return "nvme" in (self.optimizer, self.parameters)
