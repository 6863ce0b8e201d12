"""The training objective: negative log-likelihood of the text."""

from torch import Tensor
from torch.nn import functional

IGNORED = -100
"""The label of a token that is not trained on."""


def token_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of -log p(next token) and the number of tokens in it.

    logits float[batch, text, vocabulary], labels int64[batch, text]: the token itself, or -100 where it is not
    trained on; the logits at l are scored on the label at l + 1. Returns (float32[], int64[]). A batch with
    nothing to train on gives a sum of zero that still reaches every parameter, so all ranks can go backward.
    """
    targets = labels[:, 1:]
    total = functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total, (targets != IGNORED).sum()
