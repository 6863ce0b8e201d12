"""Answers: in a batch as one by one, as without a cache, and in the terminal."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from model.generate import main
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


@pytest.mark.parametrize("family", ["llama", "opt", "gpt-neox", "qwen2"])
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
    flamingo.save_adapters(tmp_path / "adapters")
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
    build().save_adapters(tmp_path / "adapters")
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
