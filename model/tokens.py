"""New tokens beside a frozen vocabulary: small trained tables that leave the frozen matrices untouched.

An id is new because it is listed, not because it is large: some models (Pythia, Qwen) have matrices with
more rows than their tokenizer has tokens, and there a new token takes the id of an unused row.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.loss import chunked_loss

PIECE = 1024
"""Words of the vocabulary whose logits MKL makes at once: with all 50,000 of OPT it takes half as long again."""


class EmbeddingWithNewTokens(nn.Module):
    """A frozen embedding, and a trained row for each new id."""

    def __init__(self, frozen: nn.Embedding, new_ids: list[int]) -> None:
        super().__init__()
        self.frozen = frozen
        self.new = nn.Embedding.from_pretrained(draw_like(frozen.weight, len(new_ids)), freeze=False)
        self.new_ids: Tensor
        self.register_buffer("new_ids", torch.tensor(new_ids), persistent=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """int64[batch, text] to float[batch, text, width]."""
        matches = input_ids.unsqueeze(-1) == self.new_ids
        is_new = matches.any(dim=-1)
        known = self.frozen(input_ids.masked_fill(is_new, 0))
        new = self.new(matches.int().argmax(dim=-1))
        return torch.where(is_new.unsqueeze(-1), new.to(known.dtype), known)


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
        self,
        hidden: Tensor,
        targets: Tensor | None = None,
        finish: Callable[[Tensor], Tensor] | None = None,
        z_loss: float = 0.0,
    ) -> Tensor:
        """float[..., width] to logits float[..., max(frozen rows, highest new id + 1)].

        With targets int64[n], for hidden float[n, width], to the sum of -log p(target) instead; `finish` is what
        the language model makes of its head's logits, and `z_loss` that of `summed_loss`.
        """
        if targets is None:
            return self.logits(hidden)
        trained = [matrix for matrix in (self.new, self.weight, self.bias) if matrix is not None]
        in_pieces = hidden.device.type == "cpu" and hidden.dtype == torch.float32

        def score(chunk: Tensor) -> Tensor:
            known = linear_in_pieces(chunk, self.weight, self.bias) if in_pieces else None
            logits = self.logits(chunk, known)
            return logits if finish is None else finish(logits)

        return chunked_loss(hidden, targets, score, trained, z_loss)

    def logits(self, hidden: Tensor, known: Tensor | None = None) -> Tensor:
        """float[..., width] to float[..., vocabulary]; `known` are those of the frozen head, where they are made."""
        logits = functional.linear(hidden, self.weight, self.bias) if known is None else known
        if self.added_columns:
            logits = functional.pad(logits, (0, self.added_columns))
        return logits.index_copy_(-1, self.new_ids, functional.linear(hidden, self.new).to(logits.dtype))


def linear_in_pieces(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`functional.linear`, by a product for each `PIECE` rows of the weight float[vocabulary, width]."""
    biases = [None] * -(-len(weight) // PIECE) if bias is None else bias.split(PIECE)
    products = [functional.linear(hidden, *rows) for rows in zip(weight.split(PIECE), biases, strict=True)]
    return torch.cat(products, dim=-1)


def draw_like(weight: Tensor, rows: int) -> Tensor:
    """`rows` rows drawn with the mean and deviation of each column of weight: neither odd nor equal."""
    with torch.no_grad():
        table = weight.float()
        drawn = torch.normal(table.mean(0).expand(rows, -1), table.std(0).expand(rows, -1))
        return drawn.to(weight.dtype)
