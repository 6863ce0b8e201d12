"""The training objective: negative log-likelihood of the text."""

import torch
from torch import Tensor
from torch.nn import functional

from model.batch import IGNORED

__all__ = ["IGNORED", "at_least_float32", "loss_into_gradient", "summed_loss", "token_loss"]


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
