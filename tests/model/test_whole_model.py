"""Whole-model logits against a slow reading of the equations, and what must not change them."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from tiny_backbones import LANGUAGE_MODELS

from model.arrangement import arrange_all
from model.batch import IGNORED, FlamingoBatch
from model.flamingo import Flamingo
from model.head import CHUNK
from model.layers import Checkpointing
from model.loss import token_loss


def document(flamingo: Flamingo, *, rows: int = 1) -> FlamingoBatch:
    """Text with three images and, between the second and the third, a video of three frames; in each row another."""
    torch.manual_seed(4)
    image = flamingo.image_token_id
    ids = torch.randint(3, 16, (rows, 12))
    ids[:, [1, 4, 6, 9]] = image
    index = torch.tensor([[-1, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3]])
    return FlamingoBatch(
        input_ids=ids,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        media_index=torch.cat([torch.where(index < 0, -1, index + 4 * row) for row in range(rows)]),
        pixels=torch.randint(0, 256, (4 * rows, 3, 3, 16, 16), dtype=torch.uint8),
        frame_mask=torch.tensor([[True, False, False], [True, False, False], [True] * 3, [True, False, False]] * rows),
        labels=torch.where(ids == image, IGNORED, ids),
    )


def layer_norm(x, w, name):
    centred = x - x.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return normed * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(q, k, v, heads):
    out = []
    for q_h, k_h, v_h in zip(*(np.split(each, heads, axis=-1) for each in (q, k, v)), strict=True):
        scores = np.exp(q_h @ k_h.T / np.sqrt(q_h.shape[-1]))
        out.append(scores / scores.sum(-1, keepdims=True) @ v_h)
    return np.concatenate(out, axis=-1)


def feed_forward(x, w, name):
    hidden = np.maximum(layer_norm(x, w, f"{name}.norm") @ w[f"{name}.expand.weight"].T, 0) ** 2
    return hidden @ w[f"{name}.contract.weight"].T


def resample(w, features):
    """features [T, S, d] of one medium to its visual tokens [R, d]."""
    x_f = features @ w["resampler.frames.project.weight"].T + w["resampler.frames.time_embeddings"][: len(features)]
    x_f = x_f.reshape(-1, x_f.shape[-1])
    x = w["resampler.latents"]
    for number in range(2):
        name = f"resampler.layers.{number}"
        q = layer_norm(x, w, f"{name}.norm_latents")
        kv = np.concatenate([layer_norm(x_f, w, f"{name}.norm_features"), q]) @ w[f"{name}.to_keys_values.weight"].T
        keys, values = np.split(kv, 2, axis=-1)
        x = x + attention(q @ w[f"{name}.to_queries.weight"].T, keys, values, 2) @ w[f"{name}.to_out.weight"].T
        x = x + feed_forward(x, w, f"{name}.feed_forward")
    return x


def gated_block(w, name, y, media):
    """Each token y [d] with the tokens [R, d_x] of its medium, or None."""
    attended = np.zeros_like(y)
    for row, seen in enumerate(media):
        if seen is not None:
            q = layer_norm(y[row], w, f"{name}.attention.norm_text") @ w[f"{name}.attention.to_queries.weight"].T
            kv = layer_norm(seen, w, f"{name}.attention.norm_media") @ w[f"{name}.attention.to_keys_values.weight"].T
            keys, values = np.split(kv, 2, axis=-1)
            out = attention(q[None], keys, values, 2)
            attended[row] = out[0] @ w[f"{name}.attention.to_out.weight"].T
    y = y + np.tanh(w[f"{name}.attention_gate"]) * attended
    return y + np.tanh(w[f"{name}.feed_forward_gate"]) * feed_forward(y, w, f"{name}.feed_forward")


def rms_norm(x, w, name):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w[f"{name}.weight"]


def rotate(x, heads):
    """Rotary positions on x [L, heads * width]; Llama takes their angles in float32."""
    width = x.shape[-1] // heads
    angles = np.arange(len(x))[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    cos, sin = np.concatenate([np.cos(angles)] * 2, -1), np.concatenate([np.sin(angles)] * 2, -1)
    parts = []
    for part in np.split(x, heads, axis=-1):
        first, second = np.split(part, 2, axis=-1)
        parts.append(part * cos + np.concatenate([-second, first], -1) * sin)
    return np.concatenate(parts, -1)


def llama_layer(w, name, x):
    normed = rms_norm(x, w, f"{name}.input_layernorm")
    q, k, v = (normed @ w[f"{name}.self_attn.{part}_proj.weight"].T for part in "qkv")
    q, k = rotate(q, 2), rotate(k, 2)
    heads = []
    for q_h, k_h, v_h in zip(*(np.split(each, 2, axis=-1) for each in (q, k, v)), strict=True):
        scores = np.where(np.tri(len(x), dtype=bool), np.exp(q_h @ k_h.T / np.sqrt(q_h.shape[-1])), 0)
        heads.append(scores / scores.sum(-1, keepdims=True) @ v_h)
    x = x + np.concatenate(heads, -1) @ w[f"{name}.self_attn.o_proj.weight"].T
    normed = rms_norm(x, w, f"{name}.post_attention_layernorm")
    gate, up = (normed @ w[f"{name}.mlp.{part}_proj.weight"].T for part in ("gate", "up"))
    return x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{name}.mlp.down_proj.weight"].T


def slow_logits(flamingo: Flamingo, batch: FlamingoBatch):
    """The equations read once more, token by token, in float64 numpy; the vision encoder's features are given."""
    w = {name: value.double().numpy() for name, value in flamingo.state_dict().items()}
    visual = []
    for pixels, frames in zip(batch.pixels, batch.frame_mask, strict=True):
        features = flamingo.vision(pixels[None, : int(frames.sum())])[0]
        visual.append(resample(w, features.double().numpy()))
    image, end = flamingo.image_token_id, flamingo.end_of_chunk_token_id
    lm = "language.lm"
    x = []
    for token in batch.input_ids[0].tolist():
        new = {image: 0, end: 1}.get(token)
        table, row = (
            (f"{lm}.model.embed_tokens.frozen.weight", token)
            if new is None
            else (f"{lm}.model.embed_tokens.new.weight", new)
        )
        x.append(w[table][row])
    x = np.stack(x)
    media = [None if index < 0 else visual[index] for index in batch.media_index[0].tolist()]
    for number in range(3):
        if number != 1:
            x = gated_block(w, f"{lm}.model.layers.{number}.block", x, media)
        x = llama_layer(w, f"{lm}.model.layers.{number}.layer", x)
    x = rms_norm(x, w, f"{lm}.model.norm")
    logits = x @ w[f"{lm}.lm_head.weight"].T
    return np.concatenate([logits, x @ w[f"{lm}.lm_head.new"].T], axis=-1)


def test_logits_equal_a_slow_reading_of_the_equations(build):
    flamingo = build("llama", gates=0.5).double()
    batch = document(flamingo)
    with torch.no_grad():
        ours = flamingo(batch)[0].numpy()
    np.testing.assert_allclose(ours, slow_logits(flamingo, batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_gathering_by_phi_equals_masked_attention_over_all_images(build, family, monkeypatch):
    flamingo = build(family, gates=0.5).double()
    batch = document(flamingo, rows=2)
    with torch.no_grad():
        gathered = flamingo(batch)
        monkeypatch.setattr(flamingo, "arrange", lambda one: arrange_all(one.media_index, None, last_alone=True))
        torch.testing.assert_close(gathered, flamingo(batch), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_the_loss_in_chunks_is_that_of_the_logits_with_the_same_gradients(build, family, monkeypatch):
    monkeypatch.setitem(CHUNK, "cpu", 4)
    flamingo = build(family, gates=0.5).double()
    batch = document(flamingo, rows=2)
    trained = flamingo.trained_parameters()
    expected, _ = token_loss(flamingo(batch), batch.targets)
    found = flamingo(batch, loss=True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    by_logits = torch.autograd.grad(2.0 * expected, trained)
    by_chunks = torch.autograd.grad(2.0 * found, trained)
    for (name, _), one, other in zip(flamingo.adapter_state_dict().items(), by_chunks, by_logits, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12, msg=name)


def test_logits_that_the_language_model_changes_in_a_way_unknown_are_scored_whole(build):
    flamingo = build("llama", gates=0.5)
    batch = document(flamingo)
    expected = flamingo(batch, loss=True)
    flamingo.language.finish = None
    torch.testing.assert_close(flamingo(batch, loss=True), expected)


def test_gemmas_soft_cap_is_found_and_kept_in_the_loss(build):
    flamingo = build("gemma2", gates=0.5)
    assert "soft_cap" in str(flamingo.language.finish)


def test_nothing_to_train_on_costs_nothing_and_reaches_every_parameter(build):
    flamingo = build()
    batch = document(flamingo)
    loss = flamingo(replace(batch, labels=torch.full_like(batch.labels, IGNORED)), loss=True)
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is not None for parameter in flamingo.trained_parameters())


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_a_checkpointed_backward_sees_its_own_images_between_two_forwards(build, family):
    flamingo = build(family, gates=0.5)
    batch = document(flamingo)
    other = replace(batch, pixels=255 - batch.pixels)
    gradients = {}
    for checkpointing in get_args(Checkpointing):
        flamingo.checkpoint_activations(checkpointing)
        first, second = flamingo(batch, loss=True), flamingo(other, loss=True)
        gradients[checkpointing] = [
            torch.autograd.grad(loss, flamingo.trained_parameters()) for loss in (first, second)
        ]
    for what in gradients.keys() - {"none"}:
        for plain, checkpointed in zip(gradients["none"], gradients[what], strict=True):
            for one, again in zip(plain, checkpointed, strict=True):
                torch.testing.assert_close(one, again)
    moved = [not torch.equal(one, again) for one, again in zip(*gradients["all"], strict=True)]
    assert any(moved)


def test_checkpoints_keep_only_what_enters_the_layers(build):
    flamingo = build("llama", gates=0.5)

    def kept(what: Checkpointing) -> int:
        flamingo.checkpoint_activations(what)
        sizes = list[int]()
        batch = document(flamingo, rows=4)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):
            flamingo(batch, loss=True)
        return sum(sizes)

    assert kept("all") < 0.7 * kept("adapters") < 0.7 * kept("feed_forwards") < 0.7 * kept("none")


def test_frozen_layers_keep_no_activations_for_weights_that_are_not_trained(build):
    """Of a frozen linear map the weight is kept, and not what went in; of the vision encoder nothing at all."""
    flamingo = build("llama", gates=0.5)
    entered = {}
    mlp = flamingo.language.lm.model.layers[1].layer.mlp
    mlp.gate_proj.register_forward_hook(lambda module, args, out: entered.update(hidden=args[0].data_ptr()))
    flamingo.vision.backbone.register_forward_hook(lambda module, args, out: entered.update(seen=out[0].requires_grad))
    kept = set[int]()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.add(t.data_ptr()), t)[1], lambda t: t):
        flamingo(document(flamingo), loss=True)
    assert entered["hidden"] not in kept
    assert not entered["seen"]


@pytest.mark.parametrize("calls", [1, 2, 5, 9])
def test_vision_in_parts_sees_the_same_and_padding_is_not_looked_at(build, calls):
    flamingo = build(gates=0.5)
    batch = document(flamingo)
    frames = list[int]()
    flamingo.vision.backbone.register_forward_pre_hook(
        lambda module, args, kwargs: frames.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    with torch.no_grad():
        whole = flamingo(batch)
        parts = flamingo(batch, vision_calls=calls)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    assert frames[0] == int(batch.frame_mask.sum()) == 6
    assert len(frames) == 1 + calls
    assert sum(frames[1:]) == max(6, calls)


@pytest.mark.parametrize("family", ["llama", "opt", "gpt-neox", "gemma2", "mpt"])
def test_bf16_with_fp32_masters_follows_fp32(build, family):
    flamingo = build(family, gates=0.5)
    batch = document(flamingo)
    expected = flamingo(batch, loss=True).item()
    flamingo.freeze_in(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = flamingo(batch, loss=True)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=0.02)
    for name, parameter in flamingo.named_parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16), name
        assert parameter.grad is None or parameter.grad.dtype == torch.float32


@pytest.mark.slow  # compiling takes 10 s a family
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("family", ["llama", "opt", "mpt"])
def test_a_compiled_model_gives_the_same_logits_and_gradients(build, family):
    flamingo = build(family, gates=0.5)
    batch = document(flamingo)
    compiled = torch.compile(flamingo, backend="aot_eager")
    torch.testing.assert_close(compiled(batch), flamingo(batch))
    found = torch.autograd.grad(token_loss(compiled(batch), batch.targets)[0], flamingo.trained_parameters())
    expected = torch.autograd.grad(token_loss(flamingo(batch), batch.targets)[0], flamingo.trained_parameters())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_documents_with_no_image_to_five_share_a_batch(build):
    flamingo = build("llama", gates=0.5)
    counts = [0, 1, 2, 3, 4, 5]
    torch.manual_seed(5)
    rows, index, first = [], [], 0
    for count in counts:
        row = torch.randint(3, 16, (12,))
        row[[2 * n for n in range(count)]] = flamingo.image_token_id
        seen = (row == flamingo.image_token_id).cumsum(0) - 1
        rows.append(row)
        index.append(torch.where(seen >= 0, seen + first, -1))
        first += count
    ids = torch.stack(rows)
    batch = FlamingoBatch(
        input_ids=ids,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        media_index=torch.stack(index),
        pixels=torch.randint(0, 256, (first, 1, 3, 16, 16), dtype=torch.uint8),
        frame_mask=torch.ones(first, 1, dtype=torch.bool),
        labels=ids,
    )
    together = flamingo(batch)
    for row, count in enumerate(counts):
        start = sum(counts[:row])
        pixels = batch.pixels[start : start + count] if count else batch.pixels[:1]
        alone = replace(
            batch,
            **{name: getattr(batch, name)[row : row + 1] for name in ("input_ids", "attention_mask", "labels")},
            media_index=torch.where(index[row] >= 0, index[row] - start, -1)[None],
            pixels=pixels,
            frame_mask=torch.ones(len(pixels), 1, dtype=torch.bool),
        )
        torch.testing.assert_close(flamingo(alone)[0], together[row], rtol=1e-4, atol=1e-5)
