"""A nano causal language model, trained from scratch on the text of datasets."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    get_cosine_schedule_with_warmup,
)

from demo.words import BEGIN, END, PADDING, train_tokenizer
from model.language import token_id
from shards.dataset import open_dataset
from shards.errors import DatasetError

HELD_BACK_EVERY = 20  # documents: one of so many is kept out of training, to measure perplexity


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageConfig:
    """A nano Llama over whole words."""

    width: int = 128
    """Of the residual stream."""
    layers: int = 2
    """Decoder layers."""
    heads: int = 4
    """Attention heads; they divide the width into parts of even size."""
    context: int = 128
    """Tokens of a training sample."""
    updates: int = 150
    """Optimiser steps."""
    batch_size: int = 16
    """Samples an update."""
    warmup_updates: int = 20
    """Updates over which the learning rate rises from 0."""
    learning_rate: float = 5e-3
    """Of AdamW, at its highest; it falls to 0 along a cosine."""
    seed: int = 0
    """Of the initial weights and the samples."""

    def __post_init__(self) -> None:
        for field in ("width", "layers", "heads", "context", "updates", "batch_size", "learning_rate"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} is {getattr(self, field)}; it must be more than 0")
        if self.width % (2 * self.heads):
            raise ValueError(f"width is {self.width}; it must be a multiple of twice the {self.heads} heads")


def train_language(uris: Sequence[str], folder: Path, config: LanguageConfig) -> dict[str, float]:
    """Trains on all the datasets' text, saves the model and its tokenizer to `folder`, and returns figures.

    `perplexity` is per word, over every 20th document, which training does not see. Raises DatasetError where a
    dataset cannot be read or all of them together hold too little text.
    """
    started = time.monotonic()
    texts = [text for uri in uris for text in read_texts(uri)]
    if len(texts) <= HELD_BACK_EVERY:
        raise DatasetError(
            f"{', '.join(uris)} hold {len(texts)} documents with text; more than {HELD_BACK_EVERY} are needed"
        )
    held_back = texts[::HELD_BACK_EVERY]
    training = [text for number, text in enumerate(texts) if number % HELD_BACK_EVERY]
    tokenizer = train_tokenizer(training)
    stream = to_stream(training, tokenizer)
    if len(stream) <= config.context:
        raise DatasetError(
            f"{', '.join(uris)} hold {len(stream)} tokens to train on and a sample needs {config.context + 1}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = build_model(config, tokenizer)
        loss = fit_model(model, stream, config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "documents": len(texts),
        "tokens": len(stream),
        "vocabulary": len(tokenizer),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loss": loss,
        "perplexity": perplexity(model, to_stream(held_back, tokenizer), config.context),
        "seconds": time.monotonic() - started,
    }


def read_texts(uri: str) -> Iterator[str]:
    """The text of each document that has any, its blocks joined."""
    for document in open_dataset(uri).documents():
        if document.texts:
            yield " ".join(block.text for block in document.texts)


def to_stream(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """int64[tokens]: all texts in a row, each between `<BOS>` and `<EOS>`."""
    marked = [f"{BEGIN} {text} {END}" for text in texts]
    return torch.tensor([token for ids in tokenizer(marked)["input_ids"] for token in ids])


def build_model(config: LanguageConfig, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """A Llama of the config's size with fresh weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=3 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=token_id(tokenizer, BEGIN),
            eos_token_id=token_id(tokenizer, END),
            pad_token_id=token_id(tokenizer, PADDING),
        )
    )


def fit_model(model: LlamaForCausalLM, stream: Tensor, config: LanguageConfig) -> float:
    """The training loop over random windows of the stream; returns the last update's loss, in nats a word."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.1)
    schedule = get_cosine_schedule_with_warmup(optimiser, config.warmup_updates, config.updates)
    windows = stream.unfold(0, config.context, 1)
    model.train()
    loss = torch.tensor(math.nan)
    for _ in track(range(config.updates), "language model"):
        batch = windows[torch.randint(len(windows), (config.batch_size,))]
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    model.eval()
    return loss.item()


@torch.inference_mode()
def perplexity(model: LlamaForCausalLM, stream: Tensor, context: int) -> float:
    """exp of the mean negative log-likelihood of the stream's tokens, read in pieces of `context` tokens."""
    nats = [
        functional.cross_entropy(model(input_ids=piece[None]).logits[0, :-1], piece[1:], reduction="sum")
        for piece in stream.split(context)
    ]
    return math.exp(torch.stack(nats).sum().item() / (len(stream) - len(nats)))
