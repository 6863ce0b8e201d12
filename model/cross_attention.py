"""The GATED XATTN-DENSE block: text looks at its picture, through gates that start shut."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.arrangement import Arrangement
from model.attention import Activation, FeedForward, inputs_anew


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockShape:
    """What the gated blocks of a model have in common."""

    text_width: int
    """Of the language model, in features."""

    media_width: int
    """Of the visual tokens, in features."""

    heads: int
    """Attention heads."""

    head_width: int
    """Of one head, in features."""

    activation: Activation = "squared_relu"
    """Between the two maps of the feed-forward."""

    norm_media: bool = True
    """Whether the visual tokens are normed before they become keys and values."""

    gated: bool = True
    """Whether tanh gates, shut at the start, stand behind attention and feed-forward."""

    dense: bool = True
    """Whether there is a feed-forward."""


class MediaCrossAttention(nn.Module):
    """Cross-attention from each text token to the tokens of its media; zero for tokens without any."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.heads = shape.heads
        self.norm_text = nn.LayerNorm(shape.text_width)
        self.norm_media = nn.LayerNorm(shape.media_width) if shape.norm_media else nn.Identity()
        self.to_queries = nn.Linear(shape.text_width, inner, bias=False)
        self.to_keys_values = nn.Linear(shape.media_width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, shape.text_width, bias=False)

    def keys_values(self, media: Tensor) -> Tensor:
        """float[media, latents, 2 * inner] from media float[media, latents, media_width]: once for each medium."""
        return inputs_anew(self.project_media, media)

    def project_media(self, media: Tensor) -> Tensor:
        """float[media, latents, media_width] to float[media, latents, 2 * inner]."""
        return self.to_keys_values(self.norm_media(media))

    def project_text(self, text: Tensor) -> Tensor:
        """float[batch, text, text_width] to float[batch, text, inner]."""
        return self.to_queries(self.norm_text(text))

    def forward(self, text: Tensor, keys_values: Tensor, *, arrangement: Arrangement) -> Tensor:
        """text float[batch, text, text_width], keys_values float[media, latents, 2 * inner].
        Returns float[batch, text, text_width]."""
        keys, values = keys_values.chunk(2, dim=-1)
        queries = inputs_anew(self.project_text, text)
        return self.to_out(arrangement.attend(queries, keys, values, self.heads))


class GatedCrossAttention(nn.Module):
    """y = y + tanh(a1) * attention(q=y, kv=x); y = y + tanh(a2) * ffw(y), with a1 = a2 = 0 at the start.

    The paper's figure 4. The gates hold one number each, in one dimension because ZeRO-3 shards flat tensors.
    Without gates, or without the feed-forward, it is what the paper ablates in table 3.
    """

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.attention = MediaCrossAttention(shape)
        self.feed_forward = FeedForward(shape.text_width, shape.activation) if shape.dense else None
        self.attention_gate = nn.Parameter(torch.zeros(1)) if shape.gated else None
        self.feed_forward_gate = nn.Parameter(torch.zeros(1)) if shape.gated and shape.dense else None

    def forward(
        self, text: Tensor, media: Tensor, *, arrangement: Arrangement, keys_values: Tensor | None = None
    ) -> Tensor:
        """text float[batch, text, text_width], media float[media, latents, media_width], and where they were
        made before, their keys_values float[media, latents, 2 * inner]. Returns float[batch, text, text_width]."""
        if keys_values is None:
            keys_values = self.attention.keys_values(media)
        text = add(text, self.attention(text, keys_values, arrangement=arrangement), self.attention_gate)
        if self.feed_forward is None:
            return text
        return add(text, self.feed_forward(text), self.feed_forward_gate)


def add(text: Tensor, update: Tensor, gate: Tensor | None) -> Tensor:
    """The text and, through tanh of its gate where it has one, what is added to it, in the text's precision."""
    update = update.to(text.dtype)
    return text + update if gate is None else torch.addcmul(text, update, gate.tanh().to(text.dtype))
