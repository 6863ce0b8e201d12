"""The whole model on tiny random backbones of several families."""

from dataclasses import replace

import pytest
import torch
from tiny_backbones import LANGUAGE_MODELS
from transformers import AutoModelForCausalLM

from model.flamingo import FlamingoBatch, FlamingoConfig
from model.loss import token_loss

WORDS = 16


def interleaved(flamingo, *, media=3) -> FlamingoBatch:
    """Two documents: text, image 0, text, image 1, text; and text, image 2 (a video of two frames), text."""
    torch.manual_seed(2)
    image = flamingo.image_token_id
    input_ids = torch.randint(3, WORDS, (2, 9))
    input_ids[0, 2] = input_ids[0, 5] = input_ids[1, 3] = image
    index = torch.tensor([[-1, -1, 0, 0, 0, 1, 1, 1, 1], [-1, -1, -1, 2, 2, 2, 2, -1, -1]])
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 7:] = False
    return FlamingoBatch(
        input_ids=input_ids,
        attention_mask=mask,
        media_index=index,
        pixels=torch.randint(0, 256, (media, 2, 3, 16, 16), dtype=torch.uint8),
        frame_mask=torch.tensor([[True, False], [True, False], [True, True]]),
        labels=torch.where(mask & (input_ids != image), input_ids, -100),
    )


def without_images(batch: FlamingoBatch) -> FlamingoBatch:
    """The same texts beside a dummy that nobody sees."""
    return replace(
        batch,
        media_index=torch.full_like(batch.media_index, -1),
        pixels=torch.zeros_like(batch.pixels[:1, :1]),
        frame_mask=torch.ones(1, 1, dtype=torch.bool),
    )


def with_another_image(batch: FlamingoBatch, row: int) -> FlamingoBatch:
    pixels = batch.pixels.clone()
    pixels[row] = 255 - pixels[row]
    return replace(batch, pixels=pixels)


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_logits_at_the_start_equal_the_frozen_language_models_bit_for_bit(build, tiny, family):
    flamingo = build(family)
    frozen = AutoModelForCausalLM.from_pretrained(tiny(family).language, dtype=torch.float32).eval()
    batch = interleaved(flamingo)
    words = batch.input_ids.clone()
    words[words == flamingo.image_token_id] = 3
    batch = replace(batch, input_ids=words)
    with torch.no_grad():
        logits = flamingo(batch)
        expected = frozen(input_ids=words, attention_mask=batch.attention_mask.long()).logits
    assert logits.shape[-1] == max(expected.shape[-1], len(flamingo.tokenizer))
    real = batch.attention_mask
    assert torch.equal(logits[real][:, :WORDS], expected[real][:, :WORDS])


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_an_image_changes_the_tokens_that_come_after_it_and_no_others(build, family):
    flamingo = build(family, gates=0.5)
    batch = interleaved(flamingo)
    with torch.no_grad():
        before = flamingo(batch)
        for row, document, first in [(0, 0, 2), (1, 0, 5), (2, 1, 3)]:
            changed = (flamingo(with_another_image(batch, row)) != before).any(dim=-1)
            expected = torch.zeros_like(changed)
            expected[document, first:] = batch.attention_mask[document, first:]
            assert torch.equal(changed & batch.attention_mask, expected)


def test_with_one_block_at_the_top_a_token_sees_its_own_image_alone(build):
    flamingo = build("llama", gates=0.5, cross_attention_every=1)
    *lower, _ = flamingo.language.lm.model.layers
    with torch.no_grad():
        for layer in lower:
            layer.block.attention_gate.zero_()
    last = flamingo.language.lm.model.layers[-1]
    outputs = []
    last.block.register_forward_hook(lambda module, args, out: outputs.append(out))
    batch = interleaved(flamingo)
    with torch.no_grad():
        for row in range(3):
            outputs.clear()
            flamingo(batch)
            flamingo(with_another_image(batch, row))
            changed = (outputs[0] != outputs[1]).any(dim=-1)
            assert torch.equal(changed, batch.media_index == row)


def test_documents_without_images_see_none(build):
    flamingo = build(gates=0.5)
    batch = without_images(interleaved(flamingo))
    with torch.no_grad():
        assert torch.equal(flamingo(batch), flamingo(with_another_image(batch, 0)))


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
@pytest.mark.parametrize("images", [True, False])
def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one(build, family, images):
    flamingo = build(family).train()
    batch = interleaved(flamingo)
    total, _ = token_loss(flamingo(batch if images else without_images(batch)), batch.targets)
    total.backward()
    for name, parameter in flamingo.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
    gates = [p.grad.item() for n, p in flamingo.named_parameters() if n.endswith("attention_gate")]
    assert all(bool(gate) == images for gate in gates)


def test_what_is_trained_is_resampler_blocks_and_new_tokens(build):
    flamingo = build("llama")
    parts = {
        "resampler": "resampler.",
        "blocks": "language.lm.model.layers.",
        "embedding": "language.lm.model.embed_tokens.new.",
        "head": "language.lm.lm_head.new",
    }
    names = list(flamingo.adapter_state_dict())
    assert {part for part, prefix in parts.items() for name in names if name.startswith(prefix)} == set(parts)
    assert all(name.startswith(tuple(parts.values())) for name in names)
    assert all(".block." in name for name in names if name.startswith(parts["blocks"]))
    assert len(flamingo.trained_parameters()) == len(names)


def test_blocks_stand_before_the_first_layer_and_then_every_nth(build):
    def has_block(every):
        layers = build("llama", cross_attention_every=every).language.lm.model.layers
        return [layer.block is not None for layer in layers]

    assert has_block(1) == [True, True, True]
    assert has_block(2) == [True, False, True]
    assert has_block(3) == [True, False, False]


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_padding_on_either_side_changes_nothing(build, family):
    flamingo = build(family, gates=0.5)
    right = interleaved(flamingo)
    left = replace(
        right,
        **{
            name: torch.stack([getattr(right, name)[0], getattr(right, name)[1].roll(2)])
            for name in ("input_ids", "attention_mask", "media_index")
        },
    )
    with torch.no_grad():
        torch.testing.assert_close(flamingo(left)[1, 2:], flamingo(right)[1, :7], rtol=1e-4, atol=1e-5)


def test_frozen_parts_stay_in_evaluation_mode(build):
    flamingo = build("opt").train()
    assert flamingo.resampler.training
    assert not any(module.training for module in (*flamingo.vision.modules(), *flamingo.language.modules()))


def test_training_lowers_the_loss_and_leaves_the_frozen_weights_alone(build):
    flamingo = build()
    batch = interleaved(flamingo)
    frozen = {name: value.clone() for name, value in flamingo.named_parameters() if not value.requires_grad}
    optimiser = torch.optim.AdamW(flamingo.trained_parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        total, count = token_loss(flamingo(batch), batch.targets)
        losses.append(float(total.detach() / count))
        optimiser.zero_grad()
        (total / count).backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(dict(flamingo.named_parameters())[name], value) for name, value in frozen.items())


def test_batches_move_between_devices_whole(build):
    batch = interleaved(build())
    moved = batch.to("meta")
    assert moved.pixels.device.type == moved.labels.device.type == "meta"
    assert moved.input_ids.shape == batch.input_ids.shape


def test_tensors_that_do_not_fit_each_other_are_refused(build):
    batch = interleaved(build())
    with pytest.raises(ValueError, match=r"media_index has shape \[2, 8\], and must be \[2, 9\]"):
        replace(batch, media_index=batch.media_index[:, 1:])
    with pytest.raises(ValueError, match="at least one medium"):
        replace(batch, pixels=batch.pixels[:0], frame_mask=batch.frame_mask[:0])


@pytest.mark.parametrize(
    ("field", "value"), [("latents", 0), ("cross_attention_every", -1), ("resampler_width", 1.5), ("vision", "")]
)
def test_configs_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        FlamingoConfig(**{"vision": "v", "language": "l", field: value})


@pytest.mark.parametrize(
    "ablation",
    [
        {"cross_attention_gates": False},
        {"cross_attention": "vanilla"},
        {"cross_attention": "grafting"},
        {"cross_attention_first": 1, "cross_attention_every": 3},
        {"cross_attention_media": "all"},
        {"cross_attention_norm_media": False, "resampler_final_norm": True, "activation": "gelu", "time_embeddings": 0},
        {"resampler": "mlp"},
        {"resampler": "transformer"},
        {"language_frozen": False},
        {"vision_class_token": False},
    ],
    ids=str,
)
def test_every_ablation_trains_sees_its_images_and_generates(build, ablation):
    flamingo = build(**ablation, gates=0.5)
    batch = interleaved(flamingo)
    flamingo(batch, loss=True).backward()
    assert all(p.grad is not None for p in flamingo.trained_parameters())
    assert all(p.grad is None for p in flamingo.parameters() if not p.requires_grad)
    with torch.no_grad():
        before, after = flamingo(batch), flamingo(with_another_image(batch, 0))
    assert not torch.equal(before[0, 2:], after[0, 2:])
    assert torch.equal(before[0, :2], after[0, :2])
    reading = flamingo.read(replace(batch, attention_mask=torch.ones_like(batch.attention_mask)))
    assert len(flamingo.generate(reading, max_new_tokens=2)) == 2


def test_all_previous_images_of_a_document_are_seen_and_none_of_another(build):
    flamingo = build(cross_attention_media="all", cross_attention_first=2, gates=0.5)
    batch = interleaved(flamingo)
    outputs = []
    flamingo.language.layers()[2].block.register_forward_hook(lambda module, args, out: outputs.append(out))
    with torch.no_grad():
        flamingo(batch)
        for row, document, first, last in [(0, 0, 2, 9), (1, 0, 5, 9), (2, 1, 3, 7)]:
            flamingo(with_another_image(batch, row))
            expected = torch.zeros(2, 9, dtype=torch.bool)
            expected[document, first:last] = True
            assert torch.equal((outputs[0] != outputs[-1]).any(dim=-1), expected)


def test_grafted_layers_are_new_trained_and_on_top_of_frozen_ones(build):
    flamingo = build(cross_attention="grafting", cross_attention_every=2)
    layers = flamingo.language.layers()
    assert [layer.block is not None for layer in layers] == [False, False, False, True, True]
    assert [all(p.requires_grad for p in layer.layer.parameters()) for layer in layers] == [False] * 3 + [True] * 2
    weights = [layer.layer.self_attn.q_proj.weight for layer in layers[2:]]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_texts_longer_than_the_language_models_positions_are_refused(build):
    flamingo = build()
    flamingo.language.positions = 8
    with pytest.raises(ValueError, match=r"a text has 9 tokens, .* has positions for 8"):
        flamingo(interleaved(flamingo))


def test_a_medium_without_frames_is_refused(build):
    batch = interleaved(build())
    with pytest.raises(ValueError, match="medium 1 has no frames"):
        replace(batch, frame_mask=torch.tensor([[True, False], [False, False], [True, True]]))


def test_tokens_that_see_media_which_are_not_there_are_refused(build):
    batch = interleaved(build())
    with pytest.raises(ValueError, match="media_index points to medium 3, and there are 3"):
        replace(batch, media_index=batch.media_index.clamp(max=2) + (batch.media_index == 2).long())


def test_blocks_beyond_the_language_models_layers_are_refused(build):
    with pytest.raises(ValueError, match="cross_attention_first is beyond the 3 layers"):
        build(cross_attention_first=3)
