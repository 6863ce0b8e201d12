"""AdamW over what is trained, in the paper's groups."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from model.flamingo import Flamingo

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter, beside the number of steps."""


def make_optimizer(model: Flamingo, weight_decay: float) -> torch.optim.AdamW:
    """torch's own AdamW, because DeepSpeed's would be compiled on the machine."""
    return torch.optim.AdamW(parameter_groups(model, weight_decay))


def make_moments(optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor]) -> None:
    """Makes the moments of `parameters`, which AdamW would make in its first step: a checkpoint may come before it."""
    for parameter in parameters:
        moments = {moment: torch.zeros_like(parameter) for moment in MOMENTS}
        optimizer.state[parameter] = {"step": torch.tensor(0.0), **moments}


def parameter_groups(model: Flamingo, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters in two groups: weight matrices of the gated blocks, which decay, and all others.

    The paper decays nothing in the resampler (appendix B.1.2); norms, biases, gates and new tokens are left out too.
    """
    decayed, others = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and ".block." in name else others).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
