"""New tokens beside frozen vocabularies, and the language models that are refused."""

import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer

from model.head import PIECE, HeadWithNewTokens
from model.language import LanguageModel, load_language_model
from model.tokens import EmbeddingWithNewTokens

WORDS = 16


@pytest.mark.parametrize("new_ids", [[5, 6], [2, 4], [4, 5]])
def test_new_ids_take_trained_rows_and_known_ids_the_frozen_ones(new_ids):
    frozen = nn.Embedding(5, 3)
    table = EmbeddingWithNewTokens(frozen, new_ids)
    known = [i for i in range(5) if i not in new_ids]
    out = table(torch.tensor([known + new_ids]))[0]
    assert torch.equal(out[: len(known)], frozen.weight[known])
    assert torch.equal(out[len(known) :], table.new.weight)


@pytest.mark.parametrize(("new_ids", "columns"), [([5, 6], 7), ([2, 4], 5), ([4, 5], 6)])
def test_new_columns_come_from_the_trained_head(new_ids, columns):
    frozen = nn.Linear(3, 5, bias=False)
    head = HeadWithNewTokens(frozen, new_ids)
    hidden = torch.randn(2, 4, 3)
    logits = head(hidden)
    assert logits.shape == (2, 4, columns)
    known = [i for i in range(5) if i not in new_ids]
    assert torch.equal(logits[..., known], frozen(hidden)[..., known])
    torch.testing.assert_close(logits[..., new_ids], hidden @ head.new.T)


@pytest.mark.parametrize("bias", [False, True])
def test_a_loss_by_pieces_of_the_vocabulary_is_the_loss(bias: bool):
    """Of two whole pieces and one that is not, all of whose parts are trained."""
    words = 2 * PIECE + 100
    head = HeadWithNewTokens(nn.Linear(8, words, bias=bias), [words, words + 1])
    hidden, targets = torch.randn(9, 8, requires_grad=True), torch.randint(0, words + 2, [9])
    trained = [hidden, *head.parameters()]

    losses = head(hidden, targets), nn.functional.cross_entropy(head(hidden), targets, reduction="sum")

    torch.testing.assert_close(losses[0], losses[1])
    gradients = [torch.autograd.grad(loss, trained) for loss in losses]
    assert len(gradients[0]) == (4 if bias else 3)
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_calls_the_head_once(dtype: torch.dtype):
    """Under ZeRO-3 a call within it would give up the matrices, and ranks with other numbers of chunks, which
    gather them another number of times, would wait for each other."""
    head = HeadWithNewTokens(nn.Linear(8, 50), [50, 51]).to(dtype)
    calls: list[nn.Module] = []
    head.register_forward_hook(lambda module, *_: calls.append(module))
    head(torch.randn(300, 8, dtype=dtype, requires_grad=True), torch.randint(0, 52, [300])).backward()
    assert calls == [head]


def test_a_loss_that_nothing_learns_from_is_the_same():
    head = HeadWithNewTokens(nn.Linear(8, 50), [50, 51])
    hidden, targets = torch.randn(9, 8), torch.randint(0, 52, [9])
    expected = head(hidden, targets)
    with torch.no_grad():
        found = head(hidden, targets)
    assert torch.equal(found, expected)
    assert (expected.requires_grad, found.requires_grad) == (True, False)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_loss_in_another_precision_is_the_loss(dtype: torch.dtype):
    head = HeadWithNewTokens(nn.Linear(8, 50), [50, 51]).to(dtype)
    hidden, targets = torch.randn(9, 8, dtype=dtype, requires_grad=True), torch.randint(0, 52, [9])
    wide = nn.functional.cross_entropy(head(hidden).double(), targets, reduction="sum")
    found = head(hidden, targets)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-9
    torch.testing.assert_close(found.double(), wide, rtol=tolerance, atol=tolerance)
    for one, other in zip(*(torch.autograd.grad(loss, [hidden, head.new]) for loss in (found, wide)), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_a_loss_under_autocast_follows_the_one_in_fp32():
    head = HeadWithNewTokens(nn.Linear(8, 50), [50, 51])
    hidden, targets = torch.randn(9, 8, requires_grad=True), torch.randint(0, 52, [9])
    with torch.autocast("cpu", torch.bfloat16):
        found = head(hidden, targets)
    expected = head(hidden, targets)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    for one, other in zip(*(torch.autograd.grad(loss, [hidden, head.new]) for loss in (found, expected)), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_only_the_tokens_in_a_batch_move_the_new_table():
    table = EmbeddingWithNewTokens(nn.Embedding(5, 3).requires_grad_(False), [5, 6])
    table(torch.tensor([[1, 6, 6]])).sum().backward()
    assert table.new.weight.grad is not None
    assert table.new.weight.grad.tolist() == [[0.0] * 3, [2.0] * 3]
    assert table.frozen.weight.grad is None


@pytest.mark.parametrize("family", ["llama", "llama-tied", "gpt-neox"])
def test_tied_and_untied_tables_keep_their_weights(backbone, family):
    lm, tokenizer = load_language_model(backbone(family))
    tables: list[Any] = [lm.get_input_embeddings(), lm.get_output_embeddings()]
    before = [table.weight.clone() for table in tables]
    LanguageModel(lm, tokenizer)
    wrapped: list[Any] = [lm.get_input_embeddings(), lm.get_output_embeddings()]
    assert wrapped[0].frozen is tables[0]
    assert wrapped[1].weight is tables[1].weight
    assert all(torch.equal(table.weight, weight) for table, weight in zip(tables, before, strict=True))
    assert (tables[0].weight is tables[1].weight) == (family == "llama-tied")


def test_a_tokenizer_with_padding_gains_two_tokens_and_one_without_gains_three(backbone, tmp_path):
    assert len(LanguageModel(*load_language_model(backbone("llama"))).tokenizer) == WORDS + 3
    shutil.copytree(backbone("llama"), tmp_path / "lm")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lm")
    tokenizer.pad_token = "<eos>"
    tokenizer.save_pretrained(tmp_path / "lm")
    assert len(LanguageModel(*load_language_model(str(tmp_path / "lm"))).tokenizer) == WORDS + 2


def test_a_tokenizer_larger_than_the_model_is_refused(backbone, tmp_path):
    shutil.copytree(backbone("llama"), tmp_path / "lm")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lm")
    tokenizer.add_tokens(["one", "two"])
    tokenizer.save_pretrained(tmp_path / "lm")
    with pytest.raises(ValueError, match="the tokenizer knows 18 tokens and the language model 16"):
        LanguageModel(*load_language_model(str(tmp_path / "lm")))


def test_missing_weights_and_missing_folders_are_refused(backbone, tmp_path):
    folder = tmp_path / "lm"
    shutil.copytree(backbone("llama"), folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights of a LlamaForCausalLM: model.norm.weight"):
        load_language_model(str(folder))
    with pytest.raises(ValueError, match="cannot be loaded as a causal LM"):
        load_language_model(str(tmp_path / "nowhere"))
