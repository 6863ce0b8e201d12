"""The Perceiver Resampler: any number of frames of any size in, a fixed number of visual tokens out."""

import torch
from torch import Tensor, nn

from model.attention import FeedForward, attend

TIME_EMBEDDING_DEVIATION = 0.02
"""Small, so that at the start an image reaches the latents as the vision encoder gave it."""


class ResamplerLayer(nn.Module):
    """x = x + attention(q=x, kv=concat(x_f, x)); x = x + ffw(x).

    Latents are normed once, as queries and as their share of keys and values; the features have a norm of
    their own.
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.norm_latents = nn.LayerNorm(width)
        self.norm_features = nn.LayerNorm(width)
        self.to_queries = nn.Linear(width, inner, bias=False)
        self.to_keys_values = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)
        self.feed_forward = FeedForward(width)

    def forward(self, latents: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """latents float[media, latents, width], features float[media, time * space, width],
        mask bool[media, time * space + latents]. Returns float[media, latents, width]."""
        normed = self.norm_latents(latents)
        source = torch.cat([self.norm_features(features), normed], dim=1)
        keys, values = self.to_keys_values(source).chunk(2, dim=-1)
        latents = latents + self.to_out(attend(self.to_queries(normed), keys, values, self.heads, mask))
        return latents + self.feed_forward(latents)


class PerceiverResampler(nn.Module):
    """The paper's Perceiver Resampler (section 2.1, figure 5).

    Features of another width than the resampler's pass through a linear map first. There is no norm after
    the last layer: the gated blocks norm what they read.
    """

    def __init__(
        self,
        *,
        features_width: int,
        width: int,
        layers: int,
        heads: int,
        head_width: int,
        latents: int,
        time_embeddings: int,
    ) -> None:
        super().__init__()
        same = features_width == width
        self.project = nn.Identity() if same else nn.Linear(features_width, width, bias=False)
        self.latents = nn.Parameter(torch.randn(latents, width))
        self.time_embeddings = nn.Parameter(TIME_EMBEDDING_DEVIATION * torch.randn(time_embeddings, 1, width))
        self.layers = nn.ModuleList(ResamplerLayer(width, heads, head_width) for _ in range(layers))

    def forward(self, features: Tensor, frame_mask: Tensor) -> Tensor:
        """features float[media, time, space, features_width], frame_mask bool[media, time] (True for the
        first frames of a row, False for its padding). Returns float[media, latents, width]."""
        media, _, space, _ = features.shape
        timed = self.project(features) + interpolate_in_time(self.time_embeddings, frame_mask)
        latents = self.latents.expand(media, -1, -1)
        mask = torch.cat([frame_mask.repeat_interleave(space, dim=1), frame_mask.new_ones(latents.shape[:2])], dim=1)
        for layer in self.layers:
            latents = layer(latents, timed.flatten(1, 2), mask)
        return latents


def interpolate_in_time(embeddings: Tensor, frame_mask: Tensor) -> Tensor:
    """The time embedding of each frame: float[media, time, 1, width] from embeddings float[count, 1, width].

    A row of at most `count` frames takes the first embeddings as they are; a longer one stretches them
    linearly over its frames, first on first and last on last. Each row is stretched by its own number of
    frames, so padding beside a longer video changes nothing.
    """
    last = embeddings.shape[0] - 1
    frames = frame_mask.sum(dim=1, keepdim=True)
    step = (last / (frames - 1).clamp(min=1)).clamp(max=1)
    position = (torch.arange(frame_mask.shape[1], device=frame_mask.device) * step).clamp(max=last)
    before = position.floor().long()
    after = (before + 1).clamp(max=last)
    share = (position - before)[..., None, None].to(embeddings.dtype)
    return torch.lerp(embeddings[before], embeddings[after], share)
