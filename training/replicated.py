"""A Flamingo that every worker holds whole (ZeRO stage 0): torch alone, gradients summed over the ranks once a step."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from model.flamingo import Flamingo, FlamingoBatch
from training.optimizer import MOMENTS, set_learning_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicatedFlamingo:
    """What `ShardedFlamingo` is for the other stages; the ranks meet in `step` alone."""

    model: Flamingo
    optimizer: torch.optim.AdamW
    clip: float
    device: torch.device

    def loss_sum(self, batch: FlamingoBatch) -> Tensor:
        """float32[]: the sum of -log p over the batch's targets."""
        return self.model(batch, loss=True)

    def backward(self, loss_sum: Tensor, *, weight: float, tokens: int) -> None:
        """Adds to the gradients this rank's share of weight * (mean loss over the `tokens` of the global batch)."""
        (loss_sum * (weight / max(1, tokens))).backward()

    def gradient(self) -> Tensor:
        """float[any]: this rank's part of the gradient so far; the ranks' parts together are all of it."""
        parameters = self.model.trained_parameters()
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        whole = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(whole)
        return whole.tensor_split(dist.get_world_size())[dist.get_rank()]

    def step(self, learning_rate: float) -> float:
        """Sums the gradients over ranks, clips them and makes one step; returns their norm before clipping.

        A norm that is no finite number makes no step: the gradients are dropped.
        """
        parameters = self.model.trained_parameters()
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
        norm = float(nn.utils.clip_grad_norm_(parameters, self.clip))
        if norm < float("inf"):
            set_learning_rate(self.optimizer.param_groups, learning_rate)
            self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    def whole(self, parameter: nn.Parameter) -> Tensor:
        """float32[parameter's shape]: a trained parameter."""
        return parameter.detach()

    def held(self, parameter: nn.Parameter) -> range:
        """Those elements of a trained parameter, flattened, whose state in the optimiser this rank holds: all."""
        return range(parameter.numel())

    def saved(self, parameter: nn.Parameter) -> range:
        """Those elements that this rank alone writes to a checkpoint: as ZeRO-3 would deal them."""
        return share(parameter.numel())

    def piece(self, parameter: nn.Parameter, moment: str | None = None) -> Tensor:
        """float32[saved elements]: a trained parameter, or a moment of it."""
        mine = self.saved(parameter)
        whole = self.optimizer.state[parameter][moment] if moment else parameter.detach()
        return whole.flatten()[mine.start : mine.stop]

    def restore(self, pieces: Mapping[nn.Parameter, Mapping[str | None, Tensor]], steps: int) -> None:
        """Sets the trained parameters (None) and their moments, as after `steps` steps."""
        for parameter, values in pieces.items():
            parameter.data.copy_(values[None].view_as(parameter))
            for moment in MOMENTS:
                self.optimizer.state[parameter][moment].copy_(values[moment].view_as(parameter))
            self.optimizer.state[parameter]["step"].fill_(steps)


def share(elements: int) -> range:
    """This rank's part of so many: ZeRO-3 pads them to a multiple of the ranks, and gives each as many."""
    length = -(-elements // dist.get_world_size())
    start = length * dist.get_rank()
    return range(min(start, elements), min(start + length, elements))
