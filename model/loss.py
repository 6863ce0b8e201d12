"""The training objective: negative log-likelihood of the text."""

from torch import Tensor
from torch.nn import functional

from model.batch import IGNORED

__all__ = ["IGNORED", "token_loss"]


def token_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of -log p(next token) and the number of tokens in it.

    logits float[batch, text, vocabulary], targets int64[batch, text - 1] (`FlamingoBatch.targets`): the logits at
    l are scored on the target at l, which is -100 for nothing. Returns (float32[], int64[]). A batch with
    nothing to train on gives a sum of zero that still reaches every parameter, so all ranks can go backward.
    """
    total = functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total, (targets != IGNORED).sum()
