"""The GATED XATTN-DENSE block: text looks at its picture, through gates that start shut.

Each text token attends to one medium (phi, paper section 2.3), so the queries are laid out by medium and
attention costs tokens x latents, whatever the number of media.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.attention import FeedForward, attend


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """Where each text token stands in a grid with a row for each medium; tokens are counted flat, batch x text."""

    tokens: Tensor
    """int64[media, longest]: the token in each place of the grid; token 0 in places that no token fills."""

    places: Tensor
    """int64[batch * text]: each token's place in the flattened grid; place 0 for tokens that see no medium."""

    seeing: Tensor
    """bool[batch * text, 1]: False for tokens that see no medium."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenMedia:
    """What the language model's layers are handed: the media, and which token sees which."""

    tokens: Tensor
    """float[media, latents, resampler width]."""

    arrangement: Arrangement


def arrange(media_index: Tensor, media: int) -> Arrangement:
    """Lay out the text tokens by the medium that they see.

    media_index int64[batch, text] in -1..media-1, -1 for none. Example: [[-1, 0, 0, 1]] with two media gives
    tokens [[1, 2], [3, 0]] and places [0, 0, 1, 2]. The grid has at least one place in each row, so that media
    nobody sees take part in every call, with weight zero.
    """
    rows = media_index.flatten()
    counts = torch.bincount(rows + 1, minlength=media + 1)
    longest = max(1, int(counts[1:].max()))
    order = rows.argsort(stable=True)
    rank_in_order = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows[order] + 1]
    places = (rows * longest).scatter_add(0, order, rank_in_order)
    unseeing = int(counts[0])
    tokens = torch.zeros(media * longest, dtype=torch.int64, device=rows.device)
    tokens[places[order[unseeing:]]] = order[unseeing:]
    seeing = rows >= 0
    return Arrangement(tokens=tokens.view(media, longest), places=places.where(seeing, 0), seeing=seeing.unsqueeze(1))


class MediaCrossAttention(nn.Module):
    """Cross-attention from each text token to the tokens of its own medium; zero for tokens without one."""

    def __init__(self, *, text_width: int, media_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.norm_text = nn.LayerNorm(text_width)
        self.norm_media = nn.LayerNorm(media_width)
        self.to_queries = nn.Linear(text_width, inner, bias=False)
        self.to_keys_values = nn.Linear(media_width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, text_width, bias=False)

    def forward(self, text: Tensor, media: Tensor, *, arrangement: Arrangement) -> Tensor:
        """text float[batch, text, text_width], media float[media, latents, media_width].
        Returns float[batch, text, text_width]."""
        queries = self.to_queries(self.norm_text(text)).flatten(0, 1)
        keys, values = self.to_keys_values(self.norm_media(media)).chunk(2, dim=-1)
        attended = attend(queries[arrangement.tokens], keys, values, self.heads).flatten(0, 1)
        attended = attended[arrangement.places] * arrangement.seeing
        return self.to_out(attended).view_as(text)


class GatedCrossAttention(nn.Module):
    """y = y + tanh(a1) * attention(q=y, kv=x); y = y + tanh(a2) * ffw(y), with a1 = a2 = 0 at the start.

    The paper's figure 4. The gates hold one number each, in one dimension because ZeRO-3 shards flat tensors.
    """

    def __init__(self, *, text_width: int, media_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.attention = MediaCrossAttention(
            text_width=text_width, media_width=media_width, heads=heads, head_width=head_width
        )
        self.feed_forward = FeedForward(text_width)
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.feed_forward_gate = nn.Parameter(torch.zeros(1))

    def forward(self, text: Tensor, media: Tensor, *, arrangement: Arrangement) -> Tensor:
        """text float[batch, text, text_width], media float[media, latents, media_width].
        Returns float[batch, text, text_width]."""
        attended = self.attention(text, media, arrangement=arrangement)
        text = text + self.attention_gate.tanh() * attended
        return text + self.feed_forward_gate.tanh() * self.feed_forward(text)
