"""The Perceiver Resampler: any number of frames of any size in, a fixed number of visual tokens out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.attention import Activation, FeedForward, attend, inputs_anew

TIME_EMBEDDING_DEVIATION = 0.02
"""Small, so that at the start an image reaches the latents as the vision encoder gave it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResamplerShape:
    """What any resampler is built from."""

    features_width: int
    """Of the vision encoder, in features."""

    width: int
    """Of the resampler and of the visual tokens that it gives, in features."""

    layers: int
    """Layers, one on the other."""

    heads: int
    """Attention heads of each layer."""

    head_width: int
    """Of one head, in features."""

    latents: int
    """Visual tokens that a medium becomes."""

    time_embeddings: int
    """Learnt time embeddings, in frames; 0 for none."""

    activation: Activation = "squared_relu"
    """Between the two maps of each feed-forward."""

    final_norm: bool = False
    """Whether a norm stands behind the last layer."""


class ResamplerLayer(nn.Module):
    """x = x + attention(q=x, kv=concat(x_f, x)); x = x + ffw(x).

    One norm is that of the latents, as queries and as their share of keys and values; the features have a norm of
    their own.
    """

    def __init__(self, shape: ResamplerShape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.heads = shape.heads
        self.norm_latents = nn.LayerNorm(shape.width)
        self.norm_features = nn.LayerNorm(shape.width)
        self.to_queries = nn.Linear(shape.width, inner, bias=False)
        self.to_keys_values = nn.Linear(shape.width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, shape.width, bias=False)
        self.feed_forward = FeedForward(shape.width, shape.activation)

    def forward(self, latents: Tensor, features: Tensor, mask: Tensor | None) -> Tensor:
        """latents float[media, latents, width], features float[media, time * space, width],
        mask bool[media, time * space + latents]. Returns float[media, latents, width]."""
        queries = inputs_anew(self.project_latents, latents)
        keys, values = inputs_anew(self.project_all, latents, features).chunk(2, dim=-1)
        latents = latents + self.to_out(attend(queries, keys, values, self.heads, mask))
        return latents + self.feed_forward(latents)

    def project_latents(self, latents: Tensor) -> Tensor:
        """float[media, latents, width] to queries float[media, latents, inner]."""
        return self.to_queries(self.norm_latents(latents))

    def project_all(self, latents: Tensor, features: Tensor) -> Tensor:
        """Keys and values float[media, time * space + latents, 2 * inner] of features and latents."""
        return self.to_keys_values(torch.cat([self.norm_features(features), self.norm_latents(latents)], dim=1))


class FramesInTime(nn.Module):
    """Features at the resampler's width, with the time embedding of their frame added.

    Features of another width than the resampler's pass through a linear map first.
    """

    def __init__(self, shape: ResamplerShape) -> None:
        super().__init__()
        same = shape.features_width == shape.width
        self.project = nn.Identity() if same else nn.Linear(shape.features_width, shape.width, bias=False)
        drawn = TIME_EMBEDDING_DEVIATION * torch.randn(shape.time_embeddings, 1, shape.width)
        self.time_embeddings = nn.Parameter(drawn) if shape.time_embeddings else None

    def forward(self, features: Tensor, frame_mask: Tensor) -> Tensor:
        """float[media, time, space, width] from features float[media, time, space, features_width]."""
        projected = self.project(features)
        if self.time_embeddings is None:
            return projected
        return projected + interpolate_in_time(self.time_embeddings, frame_mask)


class Resampler(nn.Module):
    """Features of any number of frames in, a fixed number of visual tokens out."""

    def __init__(self) -> None:
        super().__init__()
        self.checkpoints = False
        """Whether the backward computes each layer anew from its latents; only the Perceiver keeps so much."""


class PerceiverResampler(Resampler):
    """The paper's Perceiver Resampler (section 2.1, figure 5).

    There is no norm after the last layer: the gated blocks norm what they read. OpenFlamingo has it the other
    way round.
    """

    def __init__(self, shape: ResamplerShape) -> None:
        super().__init__()
        self.frames = FramesInTime(shape)
        self.latents = nn.Parameter(torch.randn(shape.latents, shape.width))
        self.layers = nn.ModuleList(ResamplerLayer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width) if shape.final_norm else nn.Identity()

    def forward(self, features: Tensor, frame_mask: Tensor) -> Tensor:
        """features float[media, time, space, features_width], frame_mask bool[media, time] (True for the
        first frames of a row, False for its padding). Returns float[media, latents, width]."""
        media, _, space, _ = features.shape
        timed = self.frames(features, frame_mask).flatten(1, 2)
        latents = self.latents.expand(media, -1, -1)
        mask = None
        if frame_mask.shape[1] > 1:
            of_latents = frame_mask.new_ones(latents.shape[:2])
            mask = torch.cat([frame_mask.repeat_interleave(space, dim=1), of_latents], dim=1)
        for layer in self.layers:
            if self.checkpoints and torch.is_grad_enabled():
                latents = checkpoint(layer, latents, timed, mask, use_reentrant=False)
            else:
                latents = layer(latents, timed, mask)
        return self.norm(latents)


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
