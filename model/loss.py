"""The training objective: negative log-likelihood of the text."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from model.batch import IGNORED

__all__ = ["IGNORED", "chunked_loss", "summed_loss", "token_loss"]

CHUNK = {"cpu": 128, "cuda": 1024}
"""Tokens whose logits exist at once, by device: 26 and 205 MB in float32 for a vocabulary of 50,000."""


def summed_loss(logits: Tensor, targets: Tensor, z_loss: float = 0.0) -> Tensor:
    """float[]: the sum of -log p(target), for logits float[n, vocabulary] and targets int64[n], -100 for nothing.

    `z_loss` times the square of log Z, Z being the normaliser that turns exp(logits) into p, is added to the gradient
    alone (PaLM, arXiv 2204.02311, section 5, has 1e-4): the value stays what it is without, to be compared.
    """
    loss = functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    if not z_loss:
        return loss
    squares = z_loss * logits[targets != IGNORED].logsumexp(dim=-1).square().sum()
    return loss + (squares - squares.detach())


def token_loss(logits: Tensor, targets: Tensor, z_loss: float = 0.0) -> tuple[Tensor, Tensor]:
    """Sum of -log p(next token) and the number of tokens in it.

    logits float[batch, text, vocabulary], targets int64[batch, text - 1] (`FlamingoBatch.targets`): the logits at
    l are scored on the target at l, which is -100 for nothing. Returns (float32[], int64[]). A batch with
    nothing to train on gives a sum of zero that still reaches every parameter, so all ranks can go backward.
    """
    total = summed_loss(at_least_float32(logits[:, :-1]).flatten(0, 1), targets.flatten(), z_loss)
    return total, (targets != IGNORED).sum()


def chunked_loss(
    hidden: Tensor,
    targets: Tensor,
    score: Callable[[Tensor], Tensor],
    weights: Sequence[Tensor],
    z_loss: float = 0.0,
) -> Tensor:
    """Sum of -log p(target), float32[] or float64[], with the logits of a `CHUNK` of tokens at once.

    hidden float[n, width], targets int64[n]; score gives logits float[m, vocabulary] from hidden float[m, width]
    by the weights. The gradients are taken in the forward, chunk by chunk, so that no logits are made twice;
    `z_loss` is `summed_loss`'s.
    """
    return _ChunkedLoss.apply(hidden, targets, score, z_loss, *weights)  # type: ignore[no-any-return]


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, targets: Tensor, score: Callable[[Tensor], Tensor], z_loss: float, *weights: Tensor
    ) -> Any:
        wanted = [weight for weight in weights if weight.requires_grad]
        total = at_least_float32(hidden.new_zeros(()))
        by_hidden = torch.zeros_like(hidden)
        by_weight = [at_least_float32(torch.zeros_like(weight)) for weight in wanted]
        size = CHUNK.get(hidden.device.type, CHUNK["cuda"])
        for start in range(0, len(hidden), size):
            chunk = hidden[start : start + size].detach().requires_grad_(any(ctx.needs_input_grad))
            with torch.set_grad_enabled(chunk.requires_grad):
                logits = score(chunk)
            gradient = at_least_float32(logits.detach())
            total += loss_into_gradient(gradient, targets[start : start + size], z_loss)
            if chunk.requires_grad:
                first, *others = torch.autograd.grad(logits, [chunk, *wanted], gradient.to(logits.dtype))
                by_hidden[start : start + size] = first
                for gradient, more in zip(by_weight, others, strict=True):
                    gradient += more
        ctx.save_for_backward(by_hidden, *by_weight)
        ctx.wanted = [weight.requires_grad for weight in weights]
        ctx.dtypes = [weight.dtype for weight in wanted]
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Any:
        (scale,) = outputs
        by_hidden, *by_weight = ctx.saved_tensors
        gradients = iter([(g * scale).to(dtype) for g, dtype in zip(by_weight, ctx.dtypes, strict=True)])
        return by_hidden * scale, None, None, None, *(next(gradients) if wanted else None for wanted in ctx.wanted)


def loss_into_gradient(logits: Tensor, targets: Tensor, z_loss: float) -> Tensor:
    """float[]: the sum of -log p(target), whose gradient takes the place of the logits float[m, vocabulary].

    They are the largest tensors of all, and in place there is one of them, not four.
    """
    chosen = logits.gather(-1, targets[:, None])
    highest = logits.amax(dim=-1, keepdim=True)
    summed = logits.sub_(highest).exp_().sum(dim=-1, keepdim=True)
    normaliser = highest + summed.log()
    logits.mul_((1 + 2 * z_loss * normaliser) / summed)
    logits.scatter_add_(-1, targets[:, None], -torch.ones_like(chosen))
    return (normaliser - chosen).sum()


def at_least_float32(values: Tensor) -> Tensor:
    """Sums over many tokens need more digits than bfloat16 has."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
