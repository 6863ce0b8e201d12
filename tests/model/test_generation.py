"""Answers: in a batch as one by one, as without a cache, and in the terminal."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from tiny_backbones import LANGUAGE_MODELS

from model.generate import main
from model.generation import score
from model.prompt import Prompt, prompt_batch


@pytest.fixture
def prompts(picture):
    """Prompts of several lengths, with two images, one and none."""
    red, blue = picture("red"), picture("blue")
    return [
        Prompt(text="<image> a picture of <EOC> <image> the", images=(red, blue)),
        Prompt(text="<image>", images=(blue,)),
        Prompt(text="grass is"),
        Prompt(text="the sky and <image> a", images=(red,)),
    ]


def slow_greedy(flamingo, prompt, steps):
    """Greedy decoding without a cache: the whole text through the whole model for each token."""
    batch, chosen = prompt_batch(flamingo, [prompt]), []
    never = [flamingo.image_token_id, flamingo.tokenizer.pad_token_id]
    for _ in range(steps):
        with torch.no_grad():
            logits = flamingo(batch)[0, -1]
        logits[never] = -torch.inf
        token = int(logits.argmax())
        if token in (flamingo.end_of_chunk_token_id, flamingo.tokenizer.eos_token_id):
            break
        chosen.append(token)
        batch = replace(
            batch,
            input_ids=torch.cat([batch.input_ids, torch.tensor([[token]])], dim=1),
            attention_mask=torch.cat([batch.attention_mask, torch.tensor([[True]])], dim=1),
            media_index=torch.cat([batch.media_index, batch.media_index[:, -1:]], dim=1),
            labels=torch.full((1, batch.labels.shape[1] + 1), -100),
        )
    return flamingo.tokenizer.decode(chosen, skip_special_tokens=True).strip()


@pytest.mark.parametrize("family", ["llama", "opt", "gpt-neox", "mpt"])
def test_a_batch_answers_as_one_by_one_and_as_without_a_cache(build, prompts, family):
    flamingo = build(family, gates=0.5)
    together = flamingo.generate(prompt_batch(flamingo, prompts), max_new_tokens=8)
    alone = [flamingo.generate(prompt_batch(flamingo, [each]), max_new_tokens=8)[0] for each in prompts]
    assert together == alone
    assert together == [slow_greedy(flamingo, each, 8) for each in prompts]
    assert any(together)


def test_answers_end_before_the_end_of_the_chunk(build, prompts):
    flamingo = build()
    head = flamingo.language.lm.get_output_embeddings()
    with torch.no_grad():
        norm = flamingo.language.lm.model.norm
        norm.register_forward_hook(lambda module, args, out: torch.ones_like(out))
        head.new.fill_(10.0)
    assert flamingo.generate(prompt_batch(flamingo, prompts), max_new_tokens=8) == [""] * 4


def test_images_and_padding_are_never_written(build, prompts):
    flamingo = build()
    head = flamingo.language.lm.get_output_embeddings()
    with torch.no_grad():
        flamingo.language.lm.model.norm.register_forward_hook(lambda module, args, out: torch.ones_like(out))
        head.new.fill_(10.0)
        head.new[1] = -10.0
    answer = flamingo.generate(prompt_batch(flamingo, prompts[:1]), max_new_tokens=3)[0]
    assert len(answer.split()) == 3
    assert "<" not in answer


def test_an_answer_of_no_tokens_is_empty(build, prompts):
    flamingo = build()
    assert flamingo.generate(prompt_batch(flamingo, prompts), max_new_tokens=0) == [""] * 4


def test_prompts_padded_on_the_right_are_refused(build, prompts):
    flamingo = build()
    batch = prompt_batch(flamingo, prompts)
    with pytest.raises(ValueError, match="padded on the left"):
        flamingo.generate(replace(batch, attention_mask=batch.attention_mask.flip(1)))


def test_a_prompt_batch_lines_up_texts_and_images(build, prompts):
    flamingo = build()
    batch = prompt_batch(flamingo, prompts)
    assert batch.pixels.shape == (4, 1, 3, 16, 16)
    assert batch.attention_mask.sum(dim=1).tolist() == [8, 2, 3, 6]
    assert batch.media_index.tolist() == [
        [-1, 0, 0, 0, 0, 0, 1, 1],
        [-1, -1, -1, -1, -1, -1, -1, 2],
        [-1, -1, -1, -1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1, 3, 3],
    ]
    assert (batch.input_ids[batch.attention_mask.cumsum(1) == 1] == flamingo.tokenizer.bos_token_id).all()


def test_images_and_image_tokens_that_do_not_match_are_refused(picture):
    with pytest.raises(ValueError, match="has 2 <image> tokens and 1 images"):
        Prompt(text="<image><image>", images=(picture("red"),))


def test_the_command_answers(build, tmp_path, picture):
    flamingo = build(gates=0.5)
    flamingo.save_pretrained(tmp_path / "adapters")
    picture("red").save(tmp_path / "red.png")
    picture("blue").save(tmp_path / "blue.png")
    images = ["--image", str(tmp_path / "red.png"), "--image", str(tmp_path / "blue.png")]
    command = [sys.executable, "-m", "model.generate", "--adapters", str(tmp_path / "adapters")]
    answered = subprocess.run(
        [*command, *images, "--max_new_tokens", "5", " a picture of"], capture_output=True, text=True, check=True
    )
    prompt = Prompt(text="<image><image> a picture of", images=(picture("red"), picture("blue")))
    expected = flamingo.generate(prompt_batch(flamingo, [prompt]), max_new_tokens=5)[0]
    assert answered.stdout == f"{expected}\n"


def test_the_command_refuses_bad_input_in_one_sentence(build, tmp_path, picture, capsys):
    build().save_pretrained(tmp_path / "adapters")
    (tmp_path / "text.png").write_text("not a picture")
    picture("red").save(tmp_path / "red.png")
    capsys.readouterr()
    for adapters, image, sentence in [
        ("adapters", "text.png", "text.png cannot be read as a picture"),
        ("adapters", "missing.png", "missing.png cannot be read as a picture"),
        ("nowhere", "red.png", "nowhere holds no adapters"),
    ]:
        assert main(["--adapters", str(tmp_path / adapters), "--image", str(tmp_path / image), "a"]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert sentence in printed.err
        assert printed.err.count("\n") == 1


def test_beams_end_no_worse_than_greedy_and_samples_follow_the_seed(build, prompts):
    flamingo = build(gates=0.5)
    reading = flamingo.read(prompt_batch(flamingo, prompts[:1]))
    greedy = flamingo.generate(reading, max_new_tokens=4)[0]
    beams = flamingo.generate(reading, max_new_tokens=4, num_beams=4, length_penalty=0.0)[0]
    scores = flamingo.log_likelihood(reading, [greedy, beams])[0]
    assert scores[1] >= scores[0] - 1e-5

    def sampled(seed):
        torch.manual_seed(seed)
        return flamingo.generate(reading, max_new_tokens=6, do_sample=True, temperature=2.0)

    assert sampled(1) == sampled(1)
    assert any(sampled(1) != sampled(seed) for seed in range(2, 6))


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_in_cached_generation_another_image_changes_the_logits(build, picture, family):
    flamingo = build(family, gates=0.5)
    scores = []
    for colour in ("red", "blue"):
        batch = prompt_batch(flamingo, [Prompt(text="<image> a", images=(picture(colour),))])
        scores.append(score(flamingo.language, flamingo.read(batch), [[4, 5, 6], [7]], all_media=False))
    assert not torch.allclose(*scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "opt", "mpt"])
def test_options_are_scored_as_one_by_one_without_a_cache(build, prompts, family):
    flamingo = build(family, gates=0.5)
    options = ["red", "green grass is", "the sky"]
    found = flamingo.log_likelihood(prompt_batch(flamingo, prompts), options)
    for prompt, row in zip(prompts, found, strict=True):
        for option, total in zip(options, row, strict=True):
            batch = prompt_batch(flamingo, [prompt])
            ids = torch.tensor([flamingo.tokenizer.encode(option, add_special_tokens=False)])
            whole = extended(batch, ids)
            with torch.no_grad():
                steps = flamingo(whole)[0].log_softmax(dim=-1)[batch.input_ids.shape[1] - 1 : -1]
            torch.testing.assert_close(total, steps.gather(1, ids.T).sum(), rtol=1e-4, atol=1e-5)


def extended(batch, ids):
    """The batch with more tokens, which see what the last one sees."""
    return replace(
        batch,
        input_ids=torch.cat([batch.input_ids, ids], dim=1),
        attention_mask=torch.cat([batch.attention_mask, torch.ones_like(ids, dtype=torch.bool)], dim=1),
        media_index=torch.cat([batch.media_index, batch.media_index[:, -1:].expand_as(ids)], dim=1),
        labels=torch.full((1, batch.labels.shape[1] + ids.shape[1]), -100),
    )


@pytest.mark.parametrize("media", ["last", "all"])
def test_a_conversation_goes_on_with_new_images_as_if_it_were_read_at_once(build, picture, media):
    flamingo = build("llama", gates=0.5, cross_attention_media=media)
    red, blue = picture("red"), picture("blue")
    first = prompt_batch(flamingo, [Prompt(text="<image> a picture of red <EOC>", images=(red,))])
    second = prompt_batch(flamingo, [Prompt(text="here <image> a", images=(blue,))])
    second = replace(
        second, **{n: getattr(second, n)[:, 1:] for n in ("input_ids", "attention_mask", "media_index", "labels")}
    )
    whole = prompt_batch(flamingo, [Prompt(text="<image> a picture of red <EOC> here <image> a", images=(red, blue))])
    before = flamingo.read(first)
    text = flamingo.generate(before, max_new_tokens=3)
    after = flamingo.read(second, before)
    assert after.media_index.tolist() == whole.media_index.tolist()
    options = ["sky", "green grass"]
    torch.testing.assert_close(
        flamingo.log_likelihood(after, options), flamingo.log_likelihood(whole, options), rtol=1e-4, atol=1e-5
    )
    assert flamingo.generate(after, max_new_tokens=5) == flamingo.generate(whole, max_new_tokens=5)
    assert flamingo.generate(before, max_new_tokens=3) == text


def test_media_pass_through_the_blocks_once_a_generation(build, prompts):
    flamingo = build(gates=0.5)
    calls = []
    block = flamingo.language.layers()[0].block
    assert block is not None
    block.attention.to_keys_values.register_forward_hook(lambda *_: calls.append(1))
    flamingo.generate(prompt_batch(flamingo, prompts), max_new_tokens=6)
    assert len(calls) == 1


def test_image_tokens_and_images_of_a_document_must_match(build, prompts):
    flamingo = build()
    batch = prompt_batch(flamingo, prompts)
    index = batch.media_index.clone()
    index[0] = index[0].clamp(max=0)
    with pytest.raises(ValueError, match="document 0 of the batch has 2 <image> tokens and 1 images"):
        flamingo.generate(replace(batch, media_index=index))


def test_an_option_without_tokens_is_refused(build, prompts):
    flamingo = build()
    with pytest.raises(ValueError, match="an option has no tokens"):
        flamingo.log_likelihood(prompt_batch(flamingo, prompts), ["red", ""])
