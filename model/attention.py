"""What the resampler and the gated blocks share: multi-head attention over projections, and the feed-forward."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

FEED_FORWARD_FACTOR = 4
"""Hidden width of a feed-forward by its width (paper, appendix A.1)."""

Activation = Literal["squared_relu", "gelu"]


def attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention with `heads` heads.

    queries float[n, q, heads * head_width], keys and values float[n, kv, heads * head_width],
    mask bool[n, kv] or bool[n, q, kv], True where a key may be attended to. Returns
    float[n, q, heads * head_width].
    """
    queries, keys, values = (
        projected.unflatten(-1, (heads, -1)).transpose(1, 2) for projected in (queries, keys, values)
    )
    if mask is not None:
        mask = mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]
    slow = queries.device.type == "cpu" and queries.dtype.itemsize < 4 and torch.is_grad_enabled()
    attention = written_out if slow else functional.scaled_dot_product_attention
    return attention(queries, keys, values, mask).transpose(1, 2).flatten(2)


def written_out(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """The same in plain products, all float[n, heads, ..., head_width]: of bfloat16 on a CPU, the backward of torch's
    kernel takes six times as long as theirs."""
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1, dtype=torch.float32).to(values.dtype) @ values


class FeedForward(nn.Module):
    """LayerNorm, then two linear maps with an activation between them, all without biases in the maps.

    The paper names the squared ReLU and the factor of 4; that a norm stands in front is what its
    "transformer-like" blocks, and OpenFlamingo, take for granted. OpenFlamingo has a GELU.
    """

    def __init__(self, width: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, FEED_FORWARD_FACTOR * width, bias=False)
        self.contract = nn.Linear(FEED_FORWARD_FACTOR * width, width, bias=False)
        self.checkpoints = False
        """Whether the backward expands anew, so that nothing of four times the width is kept for it."""

    def forward(self, hidden: Tensor) -> Tensor:
        """float[..., width] to float[..., width]."""
        if self.checkpoints:
            return inputs_anew(self.run, hidden)
        return inputs_anew(self.finish, inputs_anew(self.begin, hidden))

    def run(self, hidden: Tensor) -> Tensor:
        """float[..., width] to float[..., width], whatever is kept of it."""
        return self.finish(self.begin(hidden))

    def begin(self, hidden: Tensor) -> Tensor:
        """float[..., width] to float[..., 4 * width]."""
        return self.expand(self.norm(hidden))

    def finish(self, expanded: Tensor) -> Tensor:
        """float[..., 4 * width] to float[..., width]."""
        active = functional.gelu(expanded) if self.activation == "gelu" else torch.relu(expanded).square()
        return self.contract(active)


def inputs_anew(product: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """product(*inputs), of which the backward keeps the inputs alone.

    For functions that end in a product with a matrix: what is multiplied, a norm or an activation, is cheaper to
    compute anew than to keep, and the product is not computed anew, since its backward needs no more than its inputs.
    """
    if not torch.is_grad_enabled():
        return product(*inputs)
    return checkpoint(product, *inputs, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]
