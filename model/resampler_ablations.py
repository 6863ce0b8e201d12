"""What the paper compares with the Perceiver Resampler (table 3, row vi): a transformer, and an MLP."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from model.attention import FeedForward, attend
from model.resampler import FramesInTime, PerceiverResampler, Resampler, ResamplerShape


class SelfAttentionLayer(nn.Module):
    """x = x + attention(x); x = x + ffw(x), each behind a norm."""

    def __init__(self, shape: ResamplerShape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.heads = shape.heads
        self.norm = nn.LayerNorm(shape.width)
        self.to_queries_keys_values = nn.Linear(shape.width, 3 * inner, bias=False)
        self.to_out = nn.Linear(inner, shape.width, bias=False)
        self.feed_forward = FeedForward(shape.width, shape.activation)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden float[media, tokens, width], mask bool[media, tokens]; returns float[media, tokens, width]."""
        queries, keys, values = self.to_queries_keys_values(self.norm(hidden)).chunk(3, dim=-1)
        hidden = hidden + self.to_out(attend(queries, keys, values, self.heads, mask))
        return hidden + self.feed_forward(hidden)


class TransformerResampler(Resampler):
    """Latents and features through the same self-attention; the latents come out.

    The paper says no more than "Transformer"; this is the reading that gives as many tokens as the Perceiver.
    """

    def __init__(self, shape: ResamplerShape) -> None:
        super().__init__()
        self.frames = FramesInTime(shape)
        self.latents = nn.Parameter(torch.randn(shape.latents, shape.width))
        self.layers = nn.ModuleList(SelfAttentionLayer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width) if shape.final_norm else nn.Identity()

    def forward(self, features: Tensor, frame_mask: Tensor) -> Tensor:
        """features float[media, time, space, features_width], frame_mask bool[media, time]. Returns
        float[media, latents, width]."""
        media, _, space, _ = features.shape
        count = len(self.latents)
        hidden = torch.cat([self.latents.expand(media, -1, -1), self.frames(features, frame_mask).flatten(1, 2)], dim=1)
        of_latents = frame_mask.new_ones(media, count)
        mask = torch.cat([of_latents, frame_mask.repeat_interleave(space, dim=1)], dim=1)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return self.norm(hidden[:, :count])


class MlpResampler(Resampler):
    """Feed-forwards on the mean of a medium's features, and a map of it to all visual tokens.

    The paper says no more than "MLP"; the mean lets it take any number of frames of any size.
    """

    def __init__(self, shape: ResamplerShape) -> None:
        super().__init__()
        self.frames = FramesInTime(shape)
        self.layers = nn.ModuleList(FeedForward(shape.width, shape.activation) for _ in range(shape.layers))
        self.to_tokens = nn.Linear(shape.width, shape.latents * shape.width, bias=False)
        self.count = shape.latents
        self.norm = nn.LayerNorm(shape.width) if shape.final_norm else nn.Identity()

    def forward(self, features: Tensor, frame_mask: Tensor) -> Tensor:
        """features float[media, time, space, features_width], frame_mask bool[media, time]. Returns
        float[media, latents, width]."""
        timed = self.frames(features, frame_mask).mean(dim=2)
        real = frame_mask.unsqueeze(-1).to(timed.dtype)
        hidden = (timed * real).sum(dim=1) / real.sum(dim=1)
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return self.norm(self.to_tokens(hidden).unflatten(-1, (self.count, -1)))


RESAMPLERS: dict[str, Callable[[ResamplerShape], Resampler]] = {
    "perceiver": PerceiverResampler,
    "transformer": TransformerResampler,
    "mlp": MlpResampler,
}
"""By the name that a config gives them."""
