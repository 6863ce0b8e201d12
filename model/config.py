"""What a Flamingo is made of: the two frozen backbones, and the shape of what is trained between them."""

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin

MAY_BE_ZERO = ("cross_attention_first", "time_embeddings", "image_size")
MAY_BE_EMPTY = ("vision_revision", "language_revision")


@dataclass(frozen=True, kw_only=True, slots=True)
class FlamingoConfig:
    """The paper's Flamingo-3B by default (table 5), with the head widths of its second version."""

    vision: str
    """Vision encoder: a local folder or a Hugging Face hub id."""

    language: str
    """Language model: a local folder or a Hugging Face hub id."""

    vision_revision: str = ""
    """Branch, tag or commit of the vision encoder's hub id; empty for its main branch. Adapters name the commit."""

    language_revision: str = ""
    """Branch, tag or commit of the language model's hub id; empty for its main branch. Adapters name the commit."""

    vision_class_token: bool = True
    """Whether the token that vision transformers put before their patches is among the features; in OpenFlamingo
    it is not."""

    vision_frozen: bool = True
    """Whether the vision encoder stays as it is; the paper trains it when it fine-tunes. Trained, it is kept with the
    adapters."""

    image_size: int = 0
    """Side of the squares that the vision encoder is shown, in pixels; 0 for those it was trained on. At another size
    its embeddings of positions are interpolated (the paper fine-tunes at 480)."""

    cross_attention_every: int = 1
    """Layers of the language model by gated block."""

    cross_attention_first: int = 0
    """The layer before which the first block stands, counted from 0 (OpenFlamingo begins with the n-th). With a
    `cross_attention_every` of all layers, one block stands here alone."""

    cross_attention: Literal["gated", "vanilla", "grafting"] = "gated"
    """Gated and dense blocks between the frozen layers; the same without feed-forward and gates; or new layers of
    self-attention, each behind such a cross-attention, on top of all frozen ones (table 3, row iv)."""

    cross_attention_gates: bool = True
    """Whether tanh gates, shut at the start, stand behind what the gated blocks add (table 3, row iii)."""

    cross_attention_media: Literal["last", "all"] = "last"
    """Whether a text token attends to the last image before it, or to all of its document's (paper, section 4.3)."""

    cross_attention_norm_media: bool = True
    """Whether the visual tokens are normed in each block; OpenFlamingo norms them once, behind the resampler."""

    cross_attention_heads: int = 16
    """Heads of each gated block (the paper has 16, 32 and 64 for 3B, 9B and 80B)."""

    cross_attention_head_width: int = 128
    """Width of one head of a gated block, in features."""

    activation: Literal["squared_relu", "gelu"] = "squared_relu"
    """Of the feed-forwards in blocks and resampler; OpenFlamingo has a GELU."""

    resampler: Literal["perceiver", "transformer", "mlp"] = "perceiver"
    """What turns an image into visual tokens (table 3, row vi)."""

    resampler_layers: int = 6
    """Layers of the resampler."""

    resampler_width: int = 1536
    """Width of the resampler and of the visual tokens that it gives, in features."""

    resampler_heads: int = 16
    """Heads of each resampler layer."""

    resampler_head_width: int = 96
    """Width of one head of the resampler, in features (96 in the paper's second version, 128 in its first)."""

    resampler_final_norm: bool = False
    """Whether a norm stands behind the resampler's last layer, as in OpenFlamingo."""

    latents: int = 64
    """Visual tokens that an image or a video becomes."""

    time_embeddings: int = 8
    """Learnt time embeddings, in frames; longer videos stretch them linearly. 0 for none, as in OpenFlamingo."""

    language_frozen: bool = True
    """Whether the language model stays as it is (table 3, row viii); trained, it is kept with the adapters."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in MAY_BE_ZERO else 1
            if field.type is int and (type(value) is not int or value < least):
                raise ValueError(f"{field.name} is {value!r}, and must be a whole number of at least {least}")
            if field.type is bool and type(value) is not bool:
                raise ValueError(f"{field.name} is {value!r}, and must be true or false")
            if field.type is str and not value and field.name not in MAY_BE_EMPTY:
                raise ValueError(f"{field.name} is empty, and must name a local folder or a hub id")
            if get_origin(field.type) is Literal and value not in get_args(field.type):
                allowed = ", ".join(get_args(field.type))
                raise ValueError(f"{field.name} is {value!r}, and must be one of {allowed}")
