"""Several documents in one row: who attends to whom, and which position each token has."""

import torch
from torch import Tensor


def positions_of_tokens(attention_mask: Tensor) -> Tensor:
    """int64[batch, text] from bool[batch, text]: the number of real tokens before each, so padding changes nothing.

    Example: [[False, True, True]] gives [[0, 0, 1]].
    """
    return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)


def positions_in_documents(document: Tensor) -> Tensor:
    """int64[batch, text]: each token's place in its document.

    Example: [[0, 0, 0, 1, 1, -1]] gives [[0, 1, 2, 0, 1, 0]].
    """
    place = torch.arange(document.shape[1], device=document.device).expand_as(document)
    starts = torch.ones_like(document, dtype=torch.bool)
    starts[:, 1:] = document[:, 1:] != document[:, :-1]
    return place - place.where(starts, 0).cummax(dim=1).values


def attention_within_documents(document: Tensor) -> Tensor:
    """bool[batch, 1, text, text]: True where a query (third dimension) may attend to a key (fourth).

    A token attends to itself and to the tokens before it in its own document; padding attends to padding, since
    attention over nothing is not a number.
    """
    text = document.shape[1]
    causal = torch.ones(text, text, dtype=torch.bool, device=document.device).tril()
    return (causal & (document[:, :, None] == document[:, None, :])).unsqueeze(1)
