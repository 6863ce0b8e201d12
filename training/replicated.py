"""A Flamingo that every worker holds whole (ZeRO stage 0): torch alone, gradients summed over the ranks once a step."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from model.flamingo import Flamingo, FlamingoBatch
from training.optimizer import MOMENTS


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
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    def whole(self, parameter: nn.Parameter, moment: str | None = None) -> Tensor:
        """float32[parameter's shape]: a trained parameter, or a moment of it."""
        return self.optimizer.state[parameter][moment] if moment else parameter.detach()

    def restore(self, state: dict[nn.Parameter, dict[str | None, Tensor]], update: int) -> None:
        """Sets each trained parameter (None) and its moments, as after `update` steps."""
        for parameter, values in state.items():
            parameter.data.copy_(values[None])
            moments = {moment: values[moment].to(self.device) for moment in MOMENTS}
            self.optimizer.state[parameter] = {"step": torch.tensor(float(update)), **moments}
