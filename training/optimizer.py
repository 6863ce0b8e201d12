"""AdamW over what is trained, in the paper's groups."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from model.flamingo import Flamingo
from training.config import TrainingConfig

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter, beside the number of steps."""
SHARE = "share"
"""Of the run's learning rate, that a group of parameters has."""


def make_optimizer(model: Flamingo, config: TrainingConfig) -> torch.optim.AdamW:
    """torch's own AdamW, because DeepSpeed's would be compiled on the machine."""
    return torch.optim.AdamW(
        parameter_groups(model, weight_decay=config.weight_decay, vision_learning_rate=config.vision_learning_rate)
    )


def set_learning_rate(groups: Iterable[dict[str, Any]], learning_rate: float) -> None:
    """Gives each group of parameters its share of the learning rate."""
    for group in groups:
        group["lr"] = learning_rate * group[SHARE]


def make_moments(optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor]) -> None:
    """Makes the moments of `parameters`, which AdamW would make in its first step: a checkpoint may come before it."""
    for parameter in parameters:
        moments = {moment: torch.zeros_like(parameter) for moment in MOMENTS}
        optimizer.state[parameter] = {"step": torch.tensor(0.0), **moments}


def parameter_groups(model: Flamingo, *, weight_decay: float, vision_learning_rate: float) -> list[dict[str, Any]]:
    """The trained parameters in groups: weight matrices of the gated blocks, which decay, all others between the
    backbones, and the vision encoder's, if there are any.

    The paper decays nothing in the resampler (appendix B.1.2); norms, biases, gates and new tokens are left out too.
    """
    decayed, others, vision = list[nn.Parameter](), list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            matrix = parameter.ndim > 1 and ".block." in name
            (vision if name.startswith("vision.") else decayed if matrix else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay, SHARE: 1.0},
        {"params": others, "weight_decay": 0.0, SHARE: 1.0},
        {"params": vision, "weight_decay": 0.0, SHARE: vision_learning_rate},
    ]
    return [group for group in groups if group["params"]]
