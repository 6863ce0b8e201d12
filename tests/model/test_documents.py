"""Documents packed into one row: each as if it were alone, for every family of language model."""

from dataclasses import replace

import pytest
import torch
from tiny_backbones import LANGUAGE_MODELS

from model.batch import IGNORED, FlamingoBatch
from model.documents import attention_within_documents, positions_in_documents

LENGTHS = [4, 1, 5, 3]


def documents(flamingo) -> list[FlamingoBatch]:
    """Four documents, with one image, none, two and a video of two frames."""
    torch.manual_seed(3)
    image = flamingo.image_token_id
    sees = [[0, 0, 0, 0], [-1], [-1, 0, 0, 1, 1], [0, 0, 0]]
    batches = []
    for length, index in zip(LENGTHS, sees, strict=True):
        ids = torch.randint(3, 16, (1, length))
        seen = torch.tensor([index])
        ids[:, 1:][seen[:, 1:] > seen[:, :-1]] = image
        count = max(1, max(index) + 1)
        frames = 2 if length == 3 else 1
        batches.append(
            FlamingoBatch(
                input_ids=ids,
                attention_mask=torch.ones_like(ids, dtype=torch.bool),
                media_index=seen,
                pixels=torch.randint(0, 256, (count, 2, 3, 16, 16), dtype=torch.uint8),
                frame_mask=(torch.arange(2) < frames).expand(count, 2),
                labels=torch.where(ids == image, IGNORED, ids),
            )
        )
    return batches


def packed(batches: list[FlamingoBatch], padding: int = 2) -> FlamingoBatch:
    """The documents in one row, with padding behind them."""
    first_media = [sum(len(batch.pixels) for batch in batches[:n]) for n in range(len(batches))]
    document = torch.cat([torch.full((len(batch.input_ids[0]),), n) for n, batch in enumerate(batches)])

    def row(values, pad):
        return torch.nn.functional.pad(torch.cat(values, dim=-1), (0, padding), value=pad).reshape(1, -1)

    return FlamingoBatch(
        input_ids=row([batch.input_ids for batch in batches], 0),
        attention_mask=row([batch.attention_mask for batch in batches], False),
        media_index=row(
            [
                torch.where(batch.media_index < 0, -1, batch.media_index + first)
                for batch, first in zip(batches, first_media, strict=True)
            ],
            -1,
        ),
        pixels=torch.cat([batch.pixels for batch in batches]),
        frame_mask=torch.cat([batch.frame_mask for batch in batches]),
        labels=row([batch.labels for batch in batches], IGNORED),
        document=row([document], -1),
    )


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_a_packed_document_has_the_logits_that_it_has_alone(build, family):
    flamingo = build(family, gates=0.5)
    alone = documents(flamingo)
    with torch.no_grad():
        together = flamingo(packed(alone))[0].split([*LENGTHS, 2])
        for logits, batch in zip(together, alone, strict=False):
            torch.testing.assert_close(logits, flamingo(batch)[0], rtol=1e-4, atol=1e-5)
    assert together[-1].isfinite().all()


def test_the_last_token_of_a_document_does_not_predict_the_next_documents_first(build):
    flamingo = build()
    alone = documents(flamingo)
    batch = packed(alone)
    expected = torch.cat([torch.cat([one.labels[0, 1:], torch.tensor([IGNORED])]) for one in alone])
    assert torch.equal(batch.targets[0], torch.cat([expected, torch.tensor([IGNORED])]))
    assert torch.equal(alone[2].targets, alone[2].labels[:, 1:])


def test_positions_start_anew_with_each_document():
    document = torch.tensor([[0, 0, 0, 1, 1, -1], [3, 0, 1, 1, 1, 1]])
    assert positions_in_documents(document).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 2, 3]]


def test_a_token_attends_to_what_came_before_in_its_own_document():
    document = torch.tensor([[0, 0, 1, 1, -1]])
    assert attention_within_documents(document)[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_a_language_model_that_mixes_documents_is_found_out_and_refuses_packed_rows(build, monkeypatch):
    monkeypatch.setattr(
        "model.language.attention_within_documents", lambda document: torch.ones(1, 1, 4, 4, dtype=torch.bool).tril()
    )
    flamingo = build("llama")
    with pytest.raises(ValueError, match="LlamaForCausalLM lets documents in one row see each other"):
        flamingo(packed(documents(flamingo)))


def test_rows_longer_than_a_sliding_window_are_refused(build):
    flamingo = build("mistral")
    flamingo.language.lm.config.sliding_window = 14
    with pytest.raises(ValueError, match="a packed row has 15 tokens and the language model's sliding window 14"):
        flamingo(packed(documents(flamingo)))


def test_a_document_for_another_row_is_refused(build):
    batch = packed(documents(build()))
    assert batch.document is not None
    with pytest.raises(ValueError, match=r"document has shape \[1, 14\], and must be \[1, 15\]"):
        replace(batch, document=batch.document[:, 1:])
