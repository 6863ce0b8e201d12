"""The output head: a frozen matrix, a trained row for each new token, and the loss of a few tokens' logits at a time.

hidden ──► logits of a chunk ──► loss, with its gradient in their place ──► gradients of hidden and matrices
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.loss import at_least_float32, loss_into_gradient
from model.tokens import draw_like

CHUNK = {"cpu": 128, "cuda": 1024}
"""Tokens whose logits exist at once, by device: 26 and 205 MB in float32 for a vocabulary of 50,000."""

PIECE = 1024
"""Words of the vocabulary whose logits MKL makes at once: with all 50,000 of OPT it takes half as long again."""

Finish = Callable[[Tensor], Tensor]
"""What a language model makes of its head's logits."""


class HeadWithNewTokens(nn.Module):
    """A frozen output head, and a trained row for each new id, whether or not the frozen head is tied.

    The matrices are its own, not those of modules within it, so that ZeRO-3 gathers them once for all chunks.
    """

    def __init__(self, frozen: nn.Linear, new_ids: list[int]) -> None:
        super().__init__()
        rows, _ = frozen.weight.shape
        self.weight, self.bias = frozen.weight, frozen.bias
        self.new = nn.Parameter(draw_like(frozen.weight, len(new_ids)))
        self.new_ids: Tensor
        self.register_buffer("new_ids", torch.tensor(new_ids), persistent=False)
        self.added_columns = max(0, max(new_ids) + 1 - rows)

    def forward(
        self, hidden: Tensor, targets: Tensor | None = None, finish: Finish | None = None, z_loss: float = 0.0
    ) -> Tensor:
        """float[..., width] to logits float[..., max(frozen rows, highest new id + 1)].

        With targets int64[n], for hidden float[n, width], to the sum of -log p(target) of the logits that `finish`
        makes of these, float32[] or float64[], with the logits of a `CHUNK` of tokens at once; `z_loss` is
        `summed_loss`'s.
        """
        if targets is not None:
            learns = torch.is_grad_enabled()  # which is never so within a Function's forward
            return _ChunkedLoss.apply(hidden, targets, self, finish, z_loss, learns, self.new, self.weight, self.bias)  # type: ignore[no-any-return]
        return self.logits(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Those of hidden float[..., width], for callers within the forward: under ZeRO-3 one that called the module
        again would give up the matrices at its end."""
        logits = functional.linear(hidden, self.weight, self.bias)
        if self.added_columns:
            logits = functional.pad(logits, (0, self.added_columns))
        return logits.index_copy_(-1, self.new_ids, functional.linear(hidden, self.new).to(logits.dtype))

    def logits_in_pieces(self, hidden: Tensor) -> Tensor:
        """The logits of hidden float[n, width], without a gradient, by a product for each `PIECE` of the vocabulary."""
        logits = hidden.new_empty(len(hidden), len(self.weight) + self.added_columns)
        for start in range(0, len(self.weight), PIECE):
            rows = self.weight[start : start + PIECE]
            torch.mm(hidden, rows.T, out=logits[:, start : start + len(rows)])
        if self.bias is not None:
            logits[:, : len(self.bias)] += self.bias
        logits[:, len(self.weight) :] = 0
        return logits.index_copy_(-1, self.new_ids, functional.linear(hidden, self.new))

    def gradients(self, by_logits: Tensor, hidden: Tensor, by_matrix: list[Tensor | None]) -> Tensor:
        """The gradient of hidden float[n, width], from that of the logits, which is used up.

        Those of `new`, `weight` and `bias` are added to `by_matrix`, where there is one to add to.
        """
        of_new = by_logits.index_select(-1, self.new_ids)
        of_known = by_logits.index_fill_(-1, self.new_ids, 0)[:, : len(self.weight)]
        by_new, by_weight, by_bias = by_matrix
        if by_new is not None:
            by_new += of_new.T @ hidden
        if by_weight is not None:
            by_weight += of_known.T @ hidden
        if by_bias is not None:
            by_bias += of_known.sum(dim=0)
        return of_known @ self.weight + of_new @ self.new


class _ChunkedLoss(torch.autograd.Function):
    """The gradients are taken in the forward, chunk by chunk, so that no logits are made twice."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        targets: Tensor,
        head: HeadWithNewTokens,
        finish: Finish | None,
        z_loss: float,
        learns: bool,
        *matrices: Tensor | None,
    ) -> Any:
        total = at_least_float32(hidden.new_zeros(()))
        by_hidden = torch.zeros_like(hidden)
        by_matrix = [
            at_least_float32(torch.zeros_like(matrix)) if matrix is not None and wanted else None
            for matrix, wanted in zip(matrices, ctx.needs_input_grad[-len(matrices) :], strict=True)
        ]
        size = CHUNK.get(hidden.device.type, CHUNK["cuda"])
        for part in (slice(start, start + size) for start in range(0, len(hidden), size)):
            added_to = by_matrix if learns else None
            loss, gradient = _loss_of_chunk(head, hidden[part], targets[part], finish, z_loss, added_to)
            total += loss
            if gradient is not None:
                by_hidden[part] = gradient
        ctx.save_for_backward(by_hidden, *by_matrix)
        ctx.dtypes = [None if matrix is None else matrix.dtype for matrix in matrices]
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Any:
        (scale,) = outputs
        by_hidden, *by_matrix = ctx.saved_tensors
        scaled = [
            None if gradient is None else (gradient * scale).to(dtype)
            for gradient, dtype in zip(by_matrix, ctx.dtypes, strict=True)
        ]
        return by_hidden * scale, None, None, None, None, None, *scaled


def _loss_of_chunk(
    head: HeadWithNewTokens,
    hidden: Tensor,
    targets: Tensor,
    finish: Finish | None,
    z_loss: float,
    by_matrix: list[Tensor | None] | None,
) -> tuple[Tensor, Tensor | None]:
    """The loss of a chunk, float[], and the gradient of hidden float[n, width], where there is a `by_matrix`, to which
    those of the matrices are added."""
    in_fp32 = hidden.dtype == head.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    in_pieces = hidden.device.type == "cpu" and in_fp32
    made = head.logits_in_pieces(hidden) if in_pieces else head.logits(hidden)
    made.requires_grad_(by_matrix is not None)
    with torch.set_grad_enabled(made.requires_grad):
        logits = made if finish is None else finish(made)
    gradient = at_least_float32(logits.detach())
    loss = loss_into_gradient(gradient, targets, z_loss)
    if by_matrix is None:
        return loss, None
    (gradient,) = torch.autograd.grad(logits, made, gradient.to(logits.dtype))
    return loss, head.gradients(gradient, hidden, by_matrix)
