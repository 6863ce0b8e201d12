"""The tokenizer as samples need it. It travels to processes that import neither torch nor transformers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokenizer, and the ids of the tokens that give a document its shape."""

    tokenizer: "Tokenizer | PreTrainedTokenizerBase"
    image: int
    end_of_chunk: int
    pad: int
    beginning: tuple[int, ...]
    """The token that a text begins with, where the tokenizer has one."""
    end: tuple[int, ...]
    """The token that a text ends with, where the tokenizer has one."""

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; a literal `<image>` or `<EOC>` in it is left out, since no medium stands behind it."""
        found = self.tokenizer.encode(text, add_special_tokens=False)
        ids = found if isinstance(found, list) else found.ids
        return [i for i in ids if i not in (self.image, self.end_of_chunk)]


def vocabulary_of(tokenizer: "PreTrainedTokenizerBase") -> Vocabulary:
    """The vocabulary of a Flamingo's tokenizer, which knows `<image>`, `<EOC>` and a token for padding.

    Where the tokenizer is of the library `tokenizers`, that alone is kept: it encodes the same in half the time.
    """
    from model.language import END_OF_CHUNK_TOKEN, IMAGE_TOKEN, token_id  # brings transformers and torch

    pad = tokenizer.pad_token_id
    assert isinstance(pad, int)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if isinstance(backend, Tokenizer):
        backend.no_truncation()
        backend.no_padding()
    return Vocabulary(
        tokenizer=backend if isinstance(backend, Tokenizer) else tokenizer,
        image=token_id(tokenizer, IMAGE_TOKEN),
        end_of_chunk=token_id(tokenizer, END_OF_CHUNK_TOKEN),
        pad=pad,
        beginning=_optional(tokenizer.bos_token_id),
        end=_optional(tokenizer.eos_token_id),
    )


def _optional(token: object) -> tuple[int, ...]:
    return (token,) if isinstance(token, int) else ()
