"""Attention and the feed-forward: where bf16 on a CPU is written out, and what is kept for the backward."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model import attention
from model.attention import FeedForward, attend

HEADS, WIDTH = 2, 8


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def reference(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Torch's own attention in float64."""
    parts = [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (queries, keys, values)]
    mask = mask if mask is None else mask[:, None, None] if mask.ndim == 2 else mask[:, None]
    return functional.scaled_dot_product_attention(*parts, attn_mask=mask).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("masked", ["nothing", "keys", "pairs"])
def test_attention_written_out_is_attention(masked: str, monkeypatch: pytest.MonkeyPatch):
    shapes = [(3, 5, HEADS * WIDTH), (3, 7, HEADS * WIDTH), (3, 7, HEADS * WIDTH)]
    inputs = [drawn(*shape).bfloat16().requires_grad_() for shape in shapes]
    exact = [one.detach().double().requires_grad_() for one in inputs]
    mask = {"nothing": None, "keys": drawn(3, 7) > -1, "pairs": drawn(3, 5, 7) > -1}[masked]
    monkeypatch.setattr(functional, "scaled_dot_product_attention", None)  # may not be asked
    found = attend(inputs[0], inputs[1], inputs[2], HEADS, mask)
    monkeypatch.undo()
    expected = reference(exact[0], exact[1], exact[2], mask)
    torch.testing.assert_close(found.double(), expected, rtol=2e-2, atol=2e-2)
    weights = drawn(*found.shape)
    gradients = torch.autograd.grad((found * weights).sum(), inputs)
    wanted = torch.autograd.grad((expected * weights).sum(), exact)
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient.double(), want, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize(("dtype", "gradient"), [(torch.float32, True), (torch.float64, True), (torch.bfloat16, False)])
def test_elsewhere_torchs_kernel_is_asked(dtype: torch.dtype, gradient: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention, "written_out", None)
    inputs = [drawn(1, 2, HEADS * WIDTH).to(dtype) for _ in range(3)]
    with torch.set_grad_enabled(gradient):
        assert attend(inputs[0], inputs[1], inputs[2], HEADS).shape == (1, 2, HEADS * WIDTH)


@pytest.mark.parametrize("activation", ["gelu", "squared_relu"])
@pytest.mark.parametrize(("checkpoints", "times"), [(False, 1), (True, 0)])
def test_a_feed_forward_keeps_what_it_expands_once_or_not_at_all(
    activation: attention.Activation, checkpoints: bool, times: int
):
    """Beside it, of text width: the input, what the norm gives, and its statistics; no activation."""
    layer, hidden = FeedForward(WIDTH, activation).double(), drawn(4, WIDTH).requires_grad_()
    layer.checkpoints = checkpoints
    kept = dict[int, int]()

    def note(saved: Tensor) -> Tensor:
        kept[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        found = layer(hidden)
    of_weights = {weight.untyped_storage().data_ptr() for weight in layer.parameters()}
    numbers = sum(size for place, size in kept.items() if place not in of_weights) // 8
    assert numbers <= times * 4 * (4 * WIDTH) + 2 * (4 * WIDTH) + 2 * 4

    with torch.no_grad():
        whole = layer(hidden)
    torch.testing.assert_close(found, whole)
    normed = functional.layer_norm(hidden, (WIDTH,), layer.norm.weight, layer.norm.bias)
    expanded = normed @ layer.expand.weight.T
    active = functional.gelu(expanded) if activation == "gelu" else functional.relu(expanded) ** 2
    plain = active @ layer.contract.weight.T
    torch.testing.assert_close(found, plain)
    inputs = [hidden, *layer.parameters()]
    torch.testing.assert_close(torch.autograd.grad(found.sum(), inputs), torch.autograd.grad(plain.sum(), inputs))
