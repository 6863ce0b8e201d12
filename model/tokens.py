"""New tokens beside a frozen vocabulary: small trained tables that leave the frozen matrices untouched.

An id is new because it is listed, not because it is large: some models (Pythia, Qwen) have matrices with
more rows than their tokenizer has tokens, and there a new token takes the id of an unused row.
"""

import torch
from torch import Tensor, nn


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


def draw_like(weight: Tensor, rows: int) -> Tensor:
    """`rows` rows drawn with the mean and deviation of each column of weight: neither odd nor equal."""
    with torch.no_grad():
        table = weight.float()
        drawn = torch.normal(table.mean(0).expand(rows, -1), table.std(0).expand(rows, -1))
        return drawn.to(weight.dtype)
