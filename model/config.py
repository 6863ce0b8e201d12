"""What a Flamingo is made of: the two frozen backbones, and the shape of what is trained between them."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True, slots=True)
class FlamingoConfig:
    """The paper's Flamingo-3B by default (table 5), with the head widths of its second version."""

    vision: str
    """Vision encoder: a local folder or a Hugging Face hub id."""

    language: str
    """Language model: a local folder or a Hugging Face hub id."""

    cross_attention_every: int = 1
    """Layers of the language model by gated block; blocks stand before the 1st layer and then every n-th."""

    cross_attention_heads: int = 16
    """Heads of each gated block (the paper has 16, 32 and 64 for 3B, 9B and 80B)."""

    cross_attention_head_width: int = 128
    """Width of one head of a gated block, in features."""

    resampler_layers: int = 6
    """Layers of the Perceiver Resampler."""

    resampler_width: int = 1536
    """Width of the resampler and of the visual tokens that it gives, in features."""

    resampler_heads: int = 16
    """Heads of each resampler layer."""

    resampler_head_width: int = 96
    """Width of one head of the resampler, in features (96 in the paper's second version, 128 in its first)."""

    latents: int = 64
    """Visual tokens that an image or a video becomes."""

    time_embeddings: int = 8
    """Learnt time embeddings, in frames; longer videos stretch them linearly."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{field.name} is {value!r}, and must be a whole number of at least 1")
            if field.type is str and not value:
                raise ValueError(f"{field.name} is empty, and must name a local folder or a hub id")
