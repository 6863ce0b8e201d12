"""The language model's layers: found by structure, each with room for a gated block in front of it."""

import copy
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from model.arrangement import Arrangement
from model.cross_attention import GatedCrossAttention


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenMedia:
    """What the language model's layers are handed: the media, and which token sees which."""

    tokens: Tensor
    """float[media, latents, resampler width]."""

    arrangement: Arrangement

    keys_values: tuple[Tensor, ...] | None = None
    """float[media, latents, 2 * inner] of each block, where they were made before, as in generation."""


Checkpointing = Literal["none", "feed_forwards", "adapters", "all"]
"""Of what the backward keeps only the input, and computes the rest anew: nothing, the feed-forwards of resampler and
gated blocks, these whole, or the frozen layers too."""

HANDED: ContextVar[SeenMedia | None] = ContextVar("HANDED", default=None)
"""The media of the pass under way, for language models that hand no keyword arguments down to their layers (MPT)."""


class MediaDropped(ValueError):
    """A layer was called without media."""


class LayerWithMedia(nn.Module):
    """A gated block, where one stands here, then the layer that it stands in front of."""

    def __init__(self, block: GatedCrossAttention | None, layer: nn.Module, number: int) -> None:
        """`number` counts the blocks of the language model from 0."""
        super().__init__()
        self.block: GatedCrossAttention | None
        self.block = block
        self.layer = layer
        self.number = number
        self.checkpointing: Checkpointing = "none"

    def __getattr__(self, name: str) -> Any:
        """Some language models ask their layers for more than a forward."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)

    def forward(self, hidden_states: Tensor, *args: Any, media: SeenMedia | None = None, **kwargs: Any) -> Any:
        """hidden_states float[batch, text, width]; the rest is the frozen layer's own, and so is the result.

        Raises MediaDropped where the media did not arrive: a language model that drops the arguments of its
        layers would otherwise be trained blind, and with the gates at 0 nothing would show it.
        """
        media = media or HANDED.get()
        if media is None:
            raise MediaDropped(f"no media arrived at a {type(self.layer).__name__}")
        if self.checkpointing == "all" and torch.is_grad_enabled():
            return checkpoint(self.run, hidden_states, media, *args, use_reentrant=False, **kwargs)
        return self.run(hidden_states, media, *args, **kwargs)

    def run(self, hidden_states: Tensor, media: SeenMedia, *args: Any, **kwargs: Any) -> Any:
        """The block and the layer, with all that they read among the arguments."""
        if self.block is not None:
            keys_values = media.keys_values[self.number] if media.keys_values else None
            inputs = {"arrangement": media.arrangement, "keys_values": keys_values}
            if self.checkpointing == "adapters" and torch.is_grad_enabled():
                hidden_states = checkpoint(self.block, hidden_states, media.tokens, use_reentrant=False, **inputs)
            else:
                hidden_states = self.block(hidden_states, media.tokens, **inputs)
        return self.layer(hidden_states, *args, **kwargs)


def decoder_layers(lm: PreTrainedModel) -> nn.ModuleList:
    """The LM's list of decoder layers, found by structure: the outermost list as long as the LM is deep.

    Raises ValueError where there is none.
    """
    depth: int = lm.config.get_text_config().num_hidden_layers
    for module in lm.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise ValueError(f"the language model {type(lm).__name__} lacks a list of its {depth} decoder layers")


def graft(lm: PreTrainedModel, count: int) -> list[nn.Module]:
    """Put `count` new trained layers of the LM's own kind on top of its layers, and return them."""
    config, layers = lm.config.get_text_config(), decoder_layers(lm)
    new = [copy.deepcopy(layers[-1]) for _ in range(count)]
    for number, layer in enumerate(new, start=len(layers)):
        layer.apply(lm._init_weights)
        layer.requires_grad_(True)
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                setattr(module, "layer_idx", number)  # noqa: B010 - pyright takes a module's attributes for tensors
    layers.extend(new)
    if getattr(config, "layer_types", None):
        config.layer_types = [*config.layer_types, *config.layer_types[-1:] * count]
    config.num_hidden_layers += count
    return new
