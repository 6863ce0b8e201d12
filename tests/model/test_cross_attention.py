"""The gated block against the paper's pseudo-code (figure 4), token by token, in float64 numpy."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.arrangement import arrange
from model.cross_attention import BlockShape, GatedCrossAttention, MediaCrossAttention

HEADS = 2
SHAPE = BlockShape(text_width=6, media_width=4, heads=HEADS, head_width=5)


def make(gate: float) -> GatedCrossAttention:
    torch.manual_seed(0)
    block = GatedCrossAttention(SHAPE).double()
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            parameter.copy_(torch.full_like(parameter, gate) if "gate" in name else torch.randn_like(parameter))
    return block


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def attended(w, y, x):
    """What one token y [d] takes from the tokens x [R, d_x] of its medium."""
    q = layer_norm(y, w["attention.norm_text.weight"], w["attention.norm_text.bias"])
    q = q @ w["attention.to_queries.weight"].T
    kv = layer_norm(x, w["attention.norm_media.weight"], w["attention.norm_media.bias"])
    k, v = np.split(kv @ w["attention.to_keys_values.weight"].T, 2, axis=-1)
    heads = []
    for q_h, k_h, v_h in zip(np.split(q, HEADS), *(np.split(e, HEADS, axis=-1) for e in (k, v)), strict=True):
        scores = np.exp(k_h @ q_h / np.sqrt(len(q_h)))
        heads.append(scores / scores.sum() @ v_h)
    return np.concatenate(heads) @ w["attention.to_out.weight"].T


def paper_block(w, y, x):
    """One token through the block; x is None where it sees no medium."""
    if x is not None:
        y = y + np.tanh(w["attention_gate"]) * attended(w, y, x)
    hidden = layer_norm(y, w["feed_forward.norm.weight"], w["feed_forward.norm.bias"])
    hidden = np.maximum(hidden @ w["feed_forward.expand.weight"].T, 0) ** 2
    return y + np.tanh(w["feed_forward_gate"]) * (hidden @ w["feed_forward.contract.weight"].T)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-1, 3), min_size=5, max_size=5), min_size=1, max_size=3))
def test_equals_the_papers_pseudo_code_whatever_sees_whatever(media_index):
    block = make(gate=0.5)
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    text = torch.randn(len(media_index), 5, 6, dtype=torch.float64)
    media = torch.randn(4, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        ours = block(text, media, arrangement=arrange(torch.tensor(media_index), 4))
    for row, indices in enumerate(media_index):
        for column, index in enumerate(indices):
            seen = None if index < 0 else media[index].numpy()
            expected = paper_block(weights, text[row, column].numpy(), seen)
            np.testing.assert_allclose(ours[row, column], expected, rtol=1e-10, atol=1e-10)


@settings(deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=30))
def test_every_seeing_token_has_a_place_in_its_mediums_row(media_index):
    grid = arrange(torch.tensor([media_index]), 5)
    longest = max([media_index.count(medium) for medium in range(5)] + [1])
    assert grid.tokens.shape == (5, longest)
    assert grid.seeing.flatten().tolist() == [index >= 0 for index in media_index]
    for token, index in enumerate(media_index):
        if index >= 0:
            row, column = divmod(int(grid.places[token]), longest)
            assert (row, int(grid.tokens[row, column])) == (index, token)


def test_the_worked_example_of_the_docstring():
    grid = arrange(torch.tensor([[-1, 0, 0, 1]]), 2)
    assert grid.tokens.tolist() == [[1, 2], [3, 0]]
    assert grid.places.tolist() == [0, 0, 1, 2]
    assert grid.seeing.flatten().tolist() == [False, True, True, True]


def test_shut_gates_let_text_through_bit_for_bit():
    text, media = torch.randn(2, 5, 6, dtype=torch.float64), torch.randn(1, 3, 4, dtype=torch.float64)
    index = torch.zeros(2, 5, dtype=torch.int64)
    assert torch.equal(make(gate=0.0)(text, media, arrangement=arrange(index, 1)), text)


def test_tokens_without_a_medium_attend_to_nothing_and_media_nobody_sees_stay_in_the_graph():
    attention = MediaCrossAttention(SHAPE)
    media = torch.randn(2, 3, 4, requires_grad=True)
    out = attention(torch.randn(1, 4, 6), attention.keys_values(media), arrangement=arrange(torch.full((1, 4), -1), 2))
    assert torch.equal(out, torch.zeros(1, 4, 6))
    out.sum().backward()
    assert media.grad is not None
    assert not media.grad.any()
    assert all(parameter.grad is not None for parameter in attention.parameters())
