"""Forward and backward of a batch that has a shape and no values, through a skeleton: what they take is counted.

Shape ──► see ──► read ──► loss, backward ──► operations, by torch's own formulas for each call
                                          └──► bytes that live at once, as tensors come and go
"""

import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from model.arrangement import AllMedia, Arrangement, LastMedium
from model.flamingo import Flamingo
from model.head import CHUNK
from model.layers import SeenMedia
from training.skeleton import StandIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Of what goes through the model at once."""

    rows: int
    """Of text."""
    text: int
    """Tokens of a row, padding included."""
    targets: int
    """Tokens of all rows that are predicted."""
    media: int
    """Images and videos of all rows."""
    frames: int
    """Of the longest medium."""
    longest: int
    """Most tokens that see one medium."""


def rehearse(skeleton: Flamingo, shape: Shape) -> None:
    """One forward and one backward on the meta device; the gradient of a parameter goes as soon as it is whole."""
    hidden = _read(skeleton, shape, _see(skeleton, shape))
    targets = _empty(shape.targets, dtype=torch.int64)
    loss: Tensor = skeleton.language.head()(hidden.flatten(0, 1)[: shape.targets], targets)
    del hidden
    drops = [p.register_post_accumulate_grad_hook(_drop_gradient) for p in skeleton.trained_parameters()]
    loss.backward()
    for drop in drops:
        drop.remove()


def count_rehearsed(skeleton: Flamingo, shape: Shape) -> float:
    """The multiplications and additions of a rehearsal."""
    with _OperationCounter() as counter:
        rehearse(skeleton, shape)
    backbone, pictures = skeleton.vision.backbone, shape.media * shape.frames
    if isinstance(backbone, StandIn):
        return counter.operations + pictures * backbone.shape.operations * backbone.area(skeleton.vision.size)
    return counter.operations


def count_peak_bytes(skeleton: Flamingo, shape: Shape, device: Literal["cpu", "cuda"]) -> int:
    """The most bytes that live at once in a rehearsal as on such a device, beside the parameters."""
    with _as_on(device), _LiveBytes(skeleton) as memory:
        rehearse(skeleton, shape)
    return memory.peak


def _see(skeleton: Flamingo, shape: Shape) -> Tensor:
    """The visual tokens float[media, latents, resampler width]."""
    vision = skeleton.vision
    with torch.set_grad_enabled(not vision.frozen):
        found = vision.encode(_empty(shape.media * shape.frames, 3, vision.size, vision.size, dtype=torch.uint8))
    frame_mask = _empty(shape.media, shape.frames, dtype=torch.bool)
    return skeleton.resampler(found.unflatten(0, (shape.media, shape.frames)), frame_mask)


def _read(skeleton: Flamingo, shape: Shape, tokens: Tensor) -> Tensor:
    """The hidden states float[rows, text, width] behind the language model's last layer."""
    rows, text, language = shape.rows, shape.text, skeleton.language
    inputs = {
        "input_ids": _empty(rows, text, dtype=torch.int64),
        "attention_mask": _empty(rows, 1, text, text, dtype=torch.bool),  # of two dimensions, it would be looked into
        "use_cache": False,
        **({"position_ids": _empty(rows, text, dtype=torch.int64)} if language.takes_positions else {}),
    }
    media = SeenMedia(tokens=tokens, arrangement=_arrangement(skeleton, shape))
    return language.call(language.lm.base_model, inputs, media).last_hidden_state


def _arrangement(skeleton: Flamingo, shape: Shape) -> Arrangement:
    if skeleton.sees_all_media:
        of_a_row = -(-shape.media // shape.rows)
        media = _empty(shape.rows, of_a_row, dtype=torch.int64)
        return AllMedia(media=media, visible=_empty(shape.rows, shape.text, of_a_row, dtype=torch.bool))
    tokens = shape.rows * shape.text
    return LastMedium(
        tokens=_empty(shape.media, shape.longest, dtype=torch.int64),
        places=_empty(tokens, dtype=torch.int64),
        seeing=_empty(tokens, 1, dtype=torch.bool),
    )


def _empty(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None


class _OperationCounter(TorchDispatchMode):
    """Adds up what torch's `flop_registry` says of each call; its own FlopCounterMode takes five times as long."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula:
            self.operations += formula(*args, **(kwargs or {}), out_val=result)
        return result


class _LiveBytes(TorchDispatchMode):
    """The bytes of all storages that calls have made and nothing has let go of, and the most there were."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known = WeakIdKeyDictionary()
        for tensor in (*module.parameters(), *module.buffers()):
            self._known[tensor.untyped_storage()] = True

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage not in self._known:
                self._known[storage] = True
                self.live += storage.nbytes()
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._let_go, storage.nbytes())
        return result

    def _let_go(self, size: int) -> None:
        self.live -= size


def _storages(result: Any) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))


@contextmanager
def _as_on(device: Literal["cpu", "cuda"]) -> Generator[None]:
    """Takes logits in that device's chunks, and attends by a kernel that keeps no matrix of all pairs of tokens, which
    torch does not choose on the meta device."""
    by_matrices = functional.scaled_dot_product_attention

    def attend(queries: Tensor, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.ops.aten._scaled_dot_product_flash_attention(queries, keys, values)[0]

    CHUNK["meta"] = CHUNK[device]
    setattr(functional, "scaled_dot_product_attention", attend)  # noqa: B010 - pyright knows it as another function
    try:
        yield
    finally:
        setattr(functional, "scaled_dot_product_attention", by_matrices)  # noqa: B010
        del CHUNK["meta"]
