"""The objective, against a loop over tokens in float64."""

import math

import torch
from torch import nn

from model.head import HeadWithNewTokens
from model.loss import token_loss


def test_sums_what_the_next_token_cost_where_it_is_trained_on():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5)
    labels = torch.tensor([[3, 1, -100, 2], [-100, -100, 4, 0]])
    expected, count = 0.0, 0
    for row in range(2):
        for position in range(3):
            target = int(labels[row, position + 1])
            if target >= 0:
                scores = [math.exp(score) for score in logits[row, position].tolist()]
                expected -= math.log(scores[target] / sum(scores))
                count += 1
    total, tokens = token_loss(logits, labels[:, 1:])
    torch.testing.assert_close(total, torch.tensor(expected))
    assert int(tokens) == count == 4
    assert (total.dtype, tokens.dtype) == (torch.float32, torch.int64)


def test_low_precision_logits_are_summed_in_float32():
    logits = torch.zeros(1, 3001, 2, dtype=torch.bfloat16)
    total, tokens = token_loss(logits, torch.zeros(1, 3000, dtype=torch.int64))
    torch.testing.assert_close(total, torch.tensor(3000 * math.log(2)))
    assert int(tokens) == 3000


def test_nothing_to_train_on_is_zero_and_still_goes_backward():
    logits = torch.randn(1, 3, 2, requires_grad=True)
    total, tokens = token_loss(logits, torch.full((1, 2), -100))
    total.backward()
    assert (float(total.detach()), int(tokens)) == (0.0, 0)
    assert logits.grad is not None
    assert not logits.grad.any()


def penalised(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of -log p of the targets, and that with 0.3 times the squared normalisers, written out."""
    normaliser = logits.exp().sum(dim=1).log()
    plain = (normaliser - logits[torch.arange(len(targets)), targets]).sum()
    return plain, plain + 0.3 * (normaliser**2).sum()


def test_the_z_loss_has_a_gradient_and_no_value():
    torch.manual_seed(1)
    hidden = torch.randn(150, 6, dtype=torch.float64, requires_grad=True)
    head = HeadWithNewTokens(nn.Linear(6, 7, dtype=torch.float64), [7])
    targets = torch.randint(0, 8, [150])  # two chunks on a CPU
    plain, expected = penalised(head(hidden), targets)

    total = head(hidden, targets, z_loss=0.3)
    torch.testing.assert_close(total, plain)
    found, wanted = (torch.autograd.grad(value, [hidden, *head.parameters()]) for value in (total, expected))
    torch.testing.assert_close(found, wanted)


def test_the_z_loss_leaves_out_what_is_not_trained_on():
    torch.manual_seed(2)
    logits = torch.randn(1, 4, 5, dtype=torch.float64, requires_grad=True)
    plain, expected = penalised(logits[0, :2], torch.tensor([3, 1]))

    total, _ = token_loss(logits, torch.tensor([[3, 1, -100]]), 0.3)
    torch.testing.assert_close(total, plain)
    found, wanted = (torch.autograd.grad(value, logits)[0] for value in (total, expected))
    torch.testing.assert_close(found, wanted)
