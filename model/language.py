"""The frozen language model: any Hugging Face causal LM, with a gated block in front of every n-th layer."""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer, Cache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import CausalLMOutputWithPast

from model.cross_attention import SeenMedia, arrange
from model.documents import attention_within_documents, positions_in_documents, positions_of_tokens
from model.tokens import EmbeddingWithNewTokens, HeadWithNewTokens

IMAGE_TOKEN = "<image>"
END_OF_CHUNK_TOKEN = "<EOC>"
PAD_TOKEN = "<PAD>"


HANDED: ContextVar[SeenMedia | None] = ContextVar("HANDED", default=None)
"""The media of the pass under way, for language models that hand no keyword arguments down to their layers (MPT)."""


class MediaDropped(ValueError):
    """A layer was called without media."""


class LayerWithMedia(nn.Module):
    """A gated block, then the frozen layer that it stands in front of."""

    def __init__(self, block: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.layer = layer
        self.checkpointing = False
        """Whether the backward computes both anew instead of keeping what is between."""

    def forward(self, hidden_states: Tensor, *args: Any, media: SeenMedia | None = None, **kwargs: Any) -> Any:
        """hidden_states float[batch, text, width]; the rest is the frozen layer's own, and so is the result.

        Raises MediaDropped where the media did not arrive: a language model that drops the arguments of its
        layers would otherwise be trained blind, and with the gates at 0 nothing would show it.
        """
        media = media or HANDED.get()
        if media is None:
            raise MediaDropped(f"no media arrived at a {type(self.layer).__name__}")
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(self.run, hidden_states, media, *args, use_reentrant=False, **kwargs)
        return self.run(hidden_states, media, *args, **kwargs)

    def run(self, hidden_states: Tensor, media: SeenMedia, *args: Any, **kwargs: Any) -> Any:
        """The block and the layer, with everything that they read among the arguments."""
        hidden_states = self.block(hidden_states, media.tokens, arrangement=media.arrangement)
        return self.layer(hidden_states, *args, **kwargs)


class LanguageModel(nn.Module):
    """The frozen LM with new tokens, and with room for gated blocks in front of its layers."""

    def __init__(self, lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.lm = lm.requires_grad_(False)
        self.tokenizer = tokenizer
        self.width: int = lm.config.get_text_config().hidden_size
        self.takes_positions = "position_ids" in inspect.signature(lm.forward).parameters
        self.hands_media_down = self.parts_documents = True
        self.give_new_tokens()
        self.train(False)

    def train(self, mode: bool = True) -> "LanguageModel":
        """The frozen layers stay in evaluation mode: dropout in them would blur what the gates let through."""
        return super().train(False)

    def give_new_tokens(self) -> None:
        """Put a trained table for the new tokens beside the frozen embedding and beside the frozen head."""
        embedding, head = self.lm.get_input_embeddings(), self.lm.get_output_embeddings()
        if not isinstance(embedding, nn.Embedding) or not isinstance(head, nn.Linear):
            raise ValueError(
                f"the language model {type(self.lm).__name__} lacks an input embedding and an output head that"
                f" can be found: it has {type(embedding).__name__} and {type(head).__name__}"
            )
        known = len(self.tokenizer)
        if known > embedding.num_embeddings:
            raise ValueError(
                f"the tokenizer knows {known} tokens and the language model {embedding.num_embeddings}; choose"
                " the tokenizer that belongs to the model"
            )
        new_ids = add_tokens(self.tokenizer)
        self.lm.set_input_embeddings(EmbeddingWithNewTokens(embedding, new_ids))
        self.lm.set_output_embeddings(HeadWithNewTokens(head, new_ids))

    def insert_blocks(self, every: int, make_block: Callable[[], nn.Module]) -> None:
        """Put a new block in front of the 1st layer and then of every `every`-th."""
        layers = decoder_layers(self.lm)
        for position in range(0, len(layers), every):
            layers[position] = LayerWithMedia(make_block(), layers[position])

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        media: SeenMedia,
        *,
        cache: Cache | None = None,
        document: Tensor | None = None,
    ) -> CausalLMOutputWithPast:
        """One pass over the tokens that the cache does not hold yet.

        input_ids int64[batch, text], attention_mask bool[batch, cached + text]. Positions count the real
        tokens alone, so padding on either side changes nothing. document int64[batch, text] where rows hold
        several documents (see FlamingoBatch); such rows take no cache. Returns logits
        float[batch, text, vocabulary] and the cache, where one was given, grown by `text` tokens.
        """
        if document is None:
            positions = positions_of_tokens(attention_mask)[:, -input_ids.shape[1] :]
            mask = attention_mask.long()
        else:
            positions, mask = positions_in_documents(document), self.mask_documents(document)
        return self.call(
            media,
            input_ids=input_ids,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
            **({"position_ids": positions} if self.takes_positions else {}),
        )

    def call(self, media: SeenMedia, **inputs: Any) -> CausalLMOutputWithPast:
        """The LM with the media handed to its layers: as an argument, or beside it where the LM would drop one."""
        if self.hands_media_down:
            return self.lm(**inputs, media=media)
        token = HANDED.set(media)
        try:
            return self.lm(**inputs)
        finally:
            HANDED.reset(token)

    def mask_documents(self, document: Tensor) -> Tensor | None:
        """The mask of packed rows in the form that the LM's attention takes; None where positions say enough.

        Raises ValueError where the LM does not keep documents apart, and where a row is longer than a sliding
        window, which this mask would override.
        """
        text, window = document.shape[1], getattr(self.lm.config.get_text_config(), "sliding_window", None)
        if not self.parts_documents:
            raise ValueError(
                f"the language model {type(self.lm).__name__} lets documents in one row see each other; give each"
                " its own row"
            )
        if window is not None and text > window:
            raise ValueError(
                f"a packed row has {text} tokens and the language model's sliding window {window}; pack shorter rows"
            )
        allowed = attention_within_documents(document)
        match self.lm.config._attn_implementation:
            case "sdpa":
                return allowed
            case "eager":
                lowest = torch.finfo(self.lm.dtype).min
                return torch.zeros_like(allowed, dtype=self.lm.dtype).masked_fill(~allowed, lowest)
            case _:  # flash and flex attention find documents where positions start anew
                return None

    @torch.no_grad()
    def probe(self, media_width: int) -> None:
        """Find out on two tokens whether the LM hands media to its layers, and keeps packed documents apart.

        A document must have the same logits alone as behind another in its row. With the gates at 0 nothing else
        would show either.
        """
        alone = torch.tensor([[1, 0]], device=self.lm.device)
        packed = torch.tensor([[0, 1, 1, 0]], device=self.lm.device)
        try:
            expected = self.read_blindly(alone, media_width)
        except (MediaDropped, TypeError):
            self.hands_media_down = False
            expected = self.read_blindly(alone, media_width)
        found = self.read_blindly(packed, media_width, document=torch.tensor([[0, 0, 1, 1]], device=self.lm.device))
        self.parts_documents = torch.allclose(found[:, 2:], expected, rtol=1e-2, atol=1e-3)

    def read_blindly(self, input_ids: Tensor, media_width: int, document: Tensor | None = None) -> Tensor:
        """Logits float[batch, text, vocabulary] beside one medium that nobody sees."""
        tokens = torch.zeros(1, 1, media_width, device=self.lm.device, dtype=self.lm.dtype)
        media = SeenMedia(tokens=tokens, arrangement=arrange(torch.full_like(input_ids, -1), media=1))
        logits = self(input_ids, torch.ones_like(input_ids, dtype=torch.bool), media, document=document).logits
        assert logits is not None
        return logits


def load_language_model(source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM, in float32, and its tokenizer, from a local folder or a hub id.

    Raises ValueError where either cannot be loaded, or where the source lacks some of the LM's weights.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise ValueError(f"language is {source!r}, which cannot be loaded as a causal LM: {error}") from error
    lm, report = loaded
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise ValueError(f"language is {source!r}, which lacks weights of a {type(lm).__name__}: {missing}")
    return lm, tokenizer


def add_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Add `<image>` and `<EOC>`, and a padding token where there is none. Returns their ids."""
    tokenizer.add_tokens([IMAGE_TOKEN, END_OF_CHUNK_TOKEN], special_tokens=True)
    new_tokens = [IMAGE_TOKEN, END_OF_CHUNK_TOKEN]
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
        new_tokens.append(PAD_TOKEN)
    return [token_id(tokenizer, token) for token in new_tokens]


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of one token that the tokenizer knows."""
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)
    return found


def decoder_layers(lm: PreTrainedModel) -> nn.ModuleList:
    """The LM's list of decoder layers, found by structure: the outermost list as long as the LM is deep.

    Raises ValueError where there is none.
    """
    depth: int = lm.config.get_text_config().num_hidden_layers
    for module in lm.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise ValueError(f"the language model {type(lm).__name__} lacks a list of its {depth} decoder layers")
