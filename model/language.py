"""The frozen language model: any Hugging Face causal LM, with a gated block in front of every n-th layer."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, Cache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import CausalLMOutputWithPast

from model.arrangement import arrange
from model.batch import IGNORED
from model.cross_attention import GatedCrossAttention
from model.documents import attention_within_documents, positions_in_documents, positions_of_tokens
from model.head import HeadWithNewTokens
from model.hub import MAIN
from model.layers import HANDED, LayerWithMedia, MediaDropped, SeenMedia, decoder_layers
from model.loss import token_loss
from model.tokens import EmbeddingWithNewTokens

IMAGE_TOKEN = "<image>"
END_OF_CHUNK_TOKEN = "<EOC>"
PAD_TOKEN = "<PAD>"


class LanguageModel(nn.Module):
    """The frozen LM with new tokens, and with room for gated blocks in front of its layers."""

    def __init__(self, lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.lm = lm.requires_grad_(False)
        self.tokenizer = tokenizer
        self.width: int = lm.config.get_text_config().hidden_size
        self.takes_positions = "position_ids" in inspect.signature(lm.forward).parameters
        self.positions: int | None = getattr(
            lm.config.get_text_config(), "max_position_embeddings", getattr(lm.config, "max_seq_len", None)
        )
        self.hands_media_down = self.parts_documents = True
        self.finish: Callable[[Tensor], Tensor] | None = None
        """What the LM makes of its head's logits; None where that is not known."""
        self.z_loss = 0.0
        """See `model.loss.summed_loss`."""
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

    def insert_blocks(self, positions: Sequence[int], make_block: Callable[[], GatedCrossAttention]) -> None:
        """Put a new block in front of the layers at these positions, counted from 0.

        Raises ValueError where there is no such layer.
        """
        layers = decoder_layers(self.lm)
        if not positions or max(positions) >= len(layers):
            raise ValueError(
                f"cross_attention_first is beyond the {len(layers)} layers of the language model; choose a lower one"
            )
        numbers = {position: number for number, position in enumerate(positions)}
        for position in range(len(layers)):
            block = make_block() if position in numbers else None
            layers[position] = LayerWithMedia(block, layers[position], numbers.get(position, -1))

    def head(self) -> nn.Module:
        """The output head with the new tokens."""
        head = self.lm.get_output_embeddings()
        assert head is not None
        return head

    def layers(self) -> list[LayerWithMedia]:
        """The layers, each with its block or without one."""
        return [layer for layer in decoder_layers(self.lm) if isinstance(layer, LayerWithMedia)]

    def keys_values(self, media: Tensor) -> tuple[Tensor, ...]:
        """What each block makes of media float[media, latents, width], for `SeenMedia.keys_values`."""
        return tuple(layer.block.attention.keys_values(media) for layer in self.layers() if layer.block is not None)

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
        return self.call(self.lm, self.inputs(input_ids, attention_mask, cache, document), media)

    def loss(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        media: SeenMedia,
        targets: Tensor,
        *,
        document: Tensor | None = None,
    ) -> Tensor:
        """Sum of -log p(target), float32[]; targets int64[batch, text - 1] are `FlamingoBatch.targets`.

        The logits of all tokens never exist at once, unless the LM makes something of them that is not known here.
        """
        inputs = self.inputs(input_ids, attention_mask, None, document)
        if self.finish is None:
            logits = self.call(self.lm, inputs, media).logits
            return token_loss(logits, targets, self.z_loss)[0]
        hidden = self.call(self.lm.base_model, inputs, media).last_hidden_state[:, :-1]
        scored = targets != IGNORED
        return self.head()(hidden[scored], targets[scored], self.finish, self.z_loss)

    def inputs(
        self, input_ids: Tensor, attention_mask: Tensor, cache: Cache | None, document: Tensor | None
    ) -> dict[str, Any]:
        """The LM's own arguments. Raises ValueError where a document is longer than the LM has positions for."""
        if document is None:
            positions = positions_of_tokens(attention_mask)[:, -input_ids.shape[1] :]
            mask = attention_mask.long()
        else:
            positions, mask = positions_in_documents(document), self.mask_documents(document)
        longest = int(positions.max()) + 1
        if self.positions is not None and longest > self.positions:
            raise ValueError(
                f"a text has {longest} tokens, and the language model {type(self.lm).__name__} has positions for"
                f" {self.positions}; cut it"
            )
        return {
            "input_ids": input_ids,
            "attention_mask": mask,
            "past_key_values": cache,
            "use_cache": cache is not None,
            **({"position_ids": positions} if self.takes_positions else {}),
        }

    def call(self, module: nn.Module, inputs: dict[str, Any], media: SeenMedia) -> Any:
        """The LM or its trunk with the media handed to the layers: as an argument, or beside them where the LM
        would drop one."""
        if self.hands_media_down:
            return module(**inputs, media=media)
        token = HANDED.set(media)
        try:
            return module(**inputs)
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
        self.finish = self.find_finish(alone, media_width, expected)

    def find_finish(self, input_ids: Tensor, media_width: int, expected: Tensor) -> Callable[[Tensor], Tensor] | None:
        """What turns the head's logits into the LM's: nothing, or Gemma 2's soft cap, or nothing that is known."""
        ones = torch.ones_like(input_ids, dtype=torch.bool)
        inputs = self.inputs(input_ids, ones, None, None)
        trunk = self.call(self.lm.base_model, inputs, self.unseen_media(input_ids, media_width))
        logits = self.head()(trunk.last_hidden_state)
        cap = getattr(self.lm.config.get_text_config(), "final_logit_softcapping", None)
        candidates: list[Callable[[Tensor], Tensor]] = [identity]
        if cap is not None:
            candidates.append(partial(soft_cap, cap=cap))
        return next((finish for finish in candidates if torch.equal(finish(logits), expected)), None)

    def read_blindly(self, input_ids: Tensor, media_width: int, document: Tensor | None = None) -> Tensor:
        """Logits float[batch, text, vocabulary] beside one medium that nobody sees."""
        ones = torch.ones_like(input_ids, dtype=torch.bool)
        logits = self(input_ids, ones, self.unseen_media(input_ids, media_width), document=document).logits
        assert logits is not None
        return logits

    def unseen_media(self, input_ids: Tensor, media_width: int) -> SeenMedia:
        """One medium of one visual token that no text token looks at."""
        tokens = torch.zeros(1, 1, media_width, device=self.lm.device, dtype=self.lm.dtype)
        return SeenMedia(tokens=tokens, arrangement=arrange(torch.full_like(input_ids, -1), media=1))


def identity(logits: Tensor) -> Tensor:
    """The logits as they are."""
    return logits


def soft_cap(logits: Tensor, cap: float) -> Tensor:
    """Gemma 2's logits, which do not go beyond the cap."""
    return cap * torch.tanh(logits / cap)


def load_language_model(source: str, *, revision: str = "") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM, in float32, and its tokenizer, from a local folder or a hub id.

    `revision` is a branch, tag or commit of the hub id, empty for its main branch.

    Raises ValueError where either cannot be loaded, or where the source lacks some of the LM's weights.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, revision=revision or MAIN, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision or MAIN)
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
