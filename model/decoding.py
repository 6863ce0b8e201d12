"""Greedy decoding with a cache: the media are seen once, each step runs one token of every text."""

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from model.arrangement import arrange
from model.batch import FlamingoBatch
from model.language import END_OF_CHUNK_TOKEN, IMAGE_TOKEN, LanguageModel, token_id
from model.layers import SeenMedia


def decode_greedily(language: LanguageModel, visual: Tensor, batch: FlamingoBatch, max_new_tokens: int) -> list[str]:
    """The most likely continuation, token by token; a text ends before its first `<EOC>` or end of text.

    visual float[media, latents, width]; the prompts in batch are padded on the left. New tokens see the medium
    that their prompt's last token sees. `<image>` and padding are never chosen.
    """
    if not bool(batch.attention_mask[:, -1].all()):
        raise ValueError("prompts must be padded on the left, and one of them ends in padding")
    stops, never = closing_ids(language), unwanted_ids(language)
    cache = DynamicCache(config=language.lm.config)
    ids, mask, media_index = batch.input_ids, batch.attention_mask, batch.media_index
    chosen: list[Tensor] = []
    running = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    while len(chosen) < max_new_tokens and bool(running.any()):
        media = SeenMedia(tokens=visual, arrangement=arrange(media_index, len(visual)))
        logits = language(ids, mask, media, cache=cache).logits[:, -1]
        ids = logits.index_fill(-1, never, -torch.inf).argmax(dim=-1, keepdim=True)
        chosen.append(ids)
        running = running & ~torch.isin(ids[:, 0], stops)
        mask = functional.pad(mask, (0, 1), value=True)
        media_index = media_index[:, -1:]
    return [written(language, row, stops) for row in torch.cat(chosen, dim=1)] if chosen else [""] * len(ids)


def written(language: LanguageModel, ids: Tensor, stops: Tensor) -> str:
    """The text before the first closing token of int64[new]."""
    closed = torch.isin(ids, stops).cumsum(dim=0) > 0
    text = language.tokenizer.decode(ids[~closed], skip_special_tokens=True)
    assert isinstance(text, str)
    return text.strip()


def closing_ids(language: LanguageModel) -> Tensor:
    """int64[closing]: `<EOC>`, and the tokenizer's end of text where it has one."""
    tokenizer = language.tokenizer
    ids = [token_id(tokenizer, END_OF_CHUNK_TOKEN)]
    if tokenizer.eos_token is not None:
        ids.append(token_id(tokenizer, str(tokenizer.eos_token)))
    return torch.tensor(ids, device=language.lm.device)


def unwanted_ids(language: LanguageModel) -> Tensor:
    """int64[unwanted]: `<image>`, and padding where it is not the end of text too, as it is in some tokenizers."""
    tokenizer = language.tokenizer
    ids = [token_id(tokenizer, IMAGE_TOKEN)]
    if tokenizer.pad_token != tokenizer.eos_token:
        ids.append(token_id(tokenizer, str(tokenizer.pad_token)))
    return torch.tensor(ids, device=language.lm.device)
