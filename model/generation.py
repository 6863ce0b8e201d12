"""Writing on: Hugging Face's `generate` over a prompt that was read, with its cache and its media as values."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, GenerationConfig, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from model.arrangement import Arrangement, arrange, arrange_all
from model.batch import FlamingoBatch
from model.language import END_OF_CHUNK_TOKEN, IMAGE_TOKEN, LanguageModel, token_id
from model.layers import SeenMedia


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Prompts that were read. It is a value: what is read or written behind it leaves it as it is."""

    cache: Cache
    """The keys and values of the language model's layers."""

    input_ids: Tensor
    """int64[batch, text]: all tokens so far."""

    attention_mask: Tensor
    """bool[batch, text]: True where a token is."""

    media_index: Tensor
    """int64[batch, text]: the medium that each token sees, -1 for none."""

    media: Tensor
    """float[media, latents, resampler width]: the visual tokens so far."""

    keys_values: tuple[Tensor, ...]
    """float[media, latents, 2 * inner] of each gated block, made once for each medium."""


class Writer(PreTrainedModel, GenerationMixin):
    """The language model as `generate` wants it, with the media of one call; made for that call alone."""

    main_input_name = "input_ids"
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = True

    def __init__(self, language: LanguageModel, reading: Reading, *, all_media: bool) -> None:
        super().__init__(copy.deepcopy(language.lm.config.get_text_config()))
        self.language = language
        self.reading = reading
        self.all_media = all_media
        self.generation_config = GenerationConfig()

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What the next step reads; the cache holds the rest. `generate` gives no mask where nothing is padded."""
        length = input_ids.shape[1] if next_sequence_length is None else next_sequence_length
        return {
            "input_ids": input_ids[:, -length:],
            "attention_mask": torch.ones_like(input_ids) if attention_mask is None else attention_mask,
            "past_key_values": past_key_values,
            "media_index": kwargs["media_index"][:, -length:],
            "all_seen": kwargs["media_index"],
        }

    def _update_model_kwargs_for_generation(self, outputs: Any, model_kwargs: Any, *args: Any, **kwargs: Any) -> Any:
        """A new token sees what the token before it sees."""
        model_kwargs = super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)
        seen = model_kwargs["media_index"]
        return model_kwargs | {"media_index": torch.cat([seen, seen[:, -1:]], dim=1)}

    def forward(
        self, *, input_ids: Tensor, attention_mask: Tensor, past_key_values: Cache, media_index: Tensor,
        all_seen: Tensor, **kwargs: Any,
    ) -> CausalLMOutputWithPast:  # fmt: skip
        """Logits of the tokens that the cache does not hold."""
        media = look(self.reading, media_index, all_seen if self.all_media else None)
        return self.language(input_ids, attention_mask.bool(), media, cache=past_key_values)


def look(reading: Reading, media_index: Tensor, all_seen: Tensor | None) -> SeenMedia:
    """The media for tokens that see media_index int64[batch, text]; all_seen int64[batch, all text] where a token
    sees the earlier media of its document too."""
    arrangement: Arrangement = arrange(media_index, len(reading.media))
    if all_seen is not None:
        arrangement = arrange_all(all_seen, None).of_last(media_index.shape[1])
    return SeenMedia(tokens=reading.media, arrangement=arrangement, keys_values=reading.keys_values)


@torch.no_grad()
def read(
    language: LanguageModel, visual: Tensor, batch: FlamingoBatch, past: Reading | None, *, all_media: bool
) -> Reading:
    """Read all but the last token of each prompt, behind `past` where it is given; nothing is written.

    visual float[media, latents, width]: the batch's own media, behind those of `past`. Raises ValueError where a
    prompt is padded on the right.
    """
    if not bool(batch.attention_mask[:, -1].all()):
        raise ValueError("prompts must be padded on the left, and one of them ends in padding")
    whole = _joined(language, visual, batch, past)
    known = 0 if past is None else past.cache.get_seq_length()
    end = whole.input_ids.shape[1] - 1
    if end > known:
        media_index = whole.media_index[:, known:end]
        media = look(whole, media_index, whole.media_index[:, :end] if all_media else None)
        language(whole.input_ids[:, known:end], whole.attention_mask[:, :end], media, cache=whole.cache)
    return whole


def _joined(language: LanguageModel, visual: Tensor, batch: FlamingoBatch, past: Reading | None) -> Reading:
    """The past and the batch as one, with a cache of its own that holds the past alone."""
    keys_values = language.keys_values(visual)
    if past is None:
        return Reading(
            cache=DynamicCache(config=language.lm.config.get_text_config()),
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            media_index=batch.media_index,
            media=visual,
            keys_values=keys_values,
        )
    before = len(past.media)
    own = torch.where(batch.media_index < 0, past.media_index[:, -1:], batch.media_index + before)
    return Reading(
        cache=copy.deepcopy(past.cache),
        input_ids=torch.cat([past.input_ids, batch.input_ids], dim=1),
        attention_mask=torch.cat([past.attention_mask, batch.attention_mask], dim=1),
        media_index=torch.cat([past.media_index, own], dim=1),
        media=torch.cat([past.media, visual]),
        keys_values=tuple(torch.cat(pair) for pair in zip(past.keys_values, keys_values, strict=True)),
    )


@torch.no_grad()
def write(
    language: LanguageModel, reading: Reading, *, max_new_tokens: int, all_media: bool, options: dict[str, Any]
) -> list[str]:
    """The continuations that `generate` finds with these options of its own, up to `<EOC>` or the end of text.

    `<image>` and padding are never written.
    """
    if max_new_tokens == 0:
        return [""] * len(reading.input_ids)
    stops = closing_ids(language)
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=stops,
        pad_token_id=stops[0],
        suppress_tokens=unwanted_ids(language),
        **options,
    )
    cache = copy.deepcopy(reading.cache)
    cache.batch_repeat_interleave(max(config.num_beams or 1, config.num_return_sequences or 1))
    writer: Any = Writer(language, reading, all_media=all_media)
    written: Tensor = writer.generate(
        reading.input_ids,
        generation_config=config,
        attention_mask=reading.attention_mask.long(),
        past_key_values=cache,
        media_index=reading.media_index,
    )
    new = written[:, reading.input_ids.shape[1] :]
    return [text_before_end(language, row, torch.tensor(stops, device=new.device)) for row in new]


@torch.no_grad()
def score(language: LanguageModel, reading: Reading, options: Sequence[Sequence[int]], *, all_media: bool) -> Tensor:
    """log p(option | prompt), summed over its tokens: float32[batch, options].

    The prompt is read once; all options of a prompt follow it in one pass.
    """
    rows, count = len(reading.input_ids), len(options)
    longest = max(map(len, options))
    pad = closing_ids(language)[0]
    ids = torch.tensor([[*option, *[pad] * (longest - len(option))] for option in options])
    real = torch.tensor([[1] * len(option) + [0] * (longest - len(option)) for option in options]).bool()
    ids, real = (each.to(reading.input_ids.device).repeat(rows, 1) for each in (ids, real))
    prompts = [each.repeat_interleave(count, dim=0) for each in (reading.input_ids, reading.attention_mask)]
    seen = reading.media_index.repeat_interleave(count, dim=0)
    all_seen = torch.cat([seen, seen[:, -1:].expand(-1, longest - 1)], dim=1)
    cache = copy.deepcopy(reading.cache)
    cache.batch_repeat_interleave(count)
    logits = language(
        torch.cat([prompts[0][:, -1:], ids[:, :-1]], dim=1),
        torch.cat([prompts[1], real[:, :-1]], dim=1),
        look(reading, all_seen[:, -longest:], all_seen if all_media else None),
        cache=cache,
    ).logits
    assert logits is not None
    scores = logits.float().log_softmax(dim=-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return (scores * real).sum(dim=1).view(rows, count)


def text_before_end(language: LanguageModel, ids: Tensor, stops: Tensor) -> str:
    """The text before the first closing token of int64[new]."""
    closed = torch.isin(ids, stops).cumsum(dim=0) > 0
    text = language.tokenizer.decode(ids[~closed], skip_special_tokens=True)
    assert isinstance(text, str)
    return text.strip()


def closing_ids(language: LanguageModel) -> list[int]:
    """`<EOC>`, and the tokenizer's end of text where it has one."""
    tokenizer = language.tokenizer
    ids = [token_id(tokenizer, END_OF_CHUNK_TOKEN)]
    if tokenizer.eos_token is not None:
        ids.append(token_id(tokenizer, str(tokenizer.eos_token)))
    return ids


def unwanted_ids(language: LanguageModel) -> list[int]:
    """`<image>`, and padding where it is not the end of text too, as it is in some tokenizers."""
    tokenizer = language.tokenizer
    ids = [token_id(tokenizer, IMAGE_TOKEN)]
    if tokenizer.pad_token != tokenizer.eos_token:
        ids.append(token_id(tokenizer, str(tokenizer.pad_token)))
    return ids
