"""Operations of an update, counted without values: torch's own count of a real batch, and sums done by hand."""

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.batch import FlamingoBatch
from model.flamingo import Flamingo, FlamingoConfig
from model.presets import PRESETS
from training.memory import count
from training.operations import Operations, Work, count_operations
from training.skeleton import build_skeleton

ROWS, TEXT, IMAGES = 2, 24, 3


def batch_for(flamingo: Flamingo) -> FlamingoBatch:
    """Two rows of text whose every token sees one of the row's three pictures, each as many as another."""
    size, each = flamingo.image_size, TEXT // IMAGES
    ids = torch.randint(4, 12, (ROWS, TEXT))
    return FlamingoBatch(
        input_ids=ids,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        media_index=torch.arange(ROWS * IMAGES).repeat_interleave(each).view(ROWS, TEXT),
        pixels=torch.randint(0, 256, (ROWS * IMAGES, 2, 3, size, size), dtype=torch.uint8),
        frame_mask=torch.ones(ROWS * IMAGES, 2, dtype=torch.bool),
        labels=ids,
    )


@pytest.mark.parametrize("media", ["last", "all"])
def test_operations_are_those_that_torch_counts_in_a_real_update(backbones: FlamingoConfig, media: str):
    config = dataclasses.replace(backbones, cross_attention_media=media)
    flamingo = Flamingo.from_backbones(config)
    batch = batch_for(flamingo)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        flamingo(batch, loss=True).backward()

    work = Work(
        tokens=ROWS * TEXT,
        squares=ROWS * TEXT**2,
        targets=ROWS * (TEXT - 1),
        media=ROWS * IMAGES,
        frames=ROWS * IMAGES * 2,
    )
    padding = 6 * work.targets * flamingo.language.width  # new to the skeleton's tokenizer alone
    found = count_operations(build_skeleton(config)).of(work)
    # Where tokens attend to all pictures of a row, they are counted as if each attended to one.
    assert found - padding == pytest.approx(counter.get_total_flops(), rel=1e-12 if media == "last" else 0.05)


@pytest.fixture(scope="module")
def operations() -> Operations:
    """Of Flamingo-3B."""
    return count_operations(build_skeleton(PRESETS["3b"]))


def test_a_token_costs_four_for_each_frozen_weight_and_six_for_each_trained_one(operations: Operations):
    width, layers = 2048, 24
    frozen = 12 * width**2  # queries, keys, values, output, and a feed-forward of 4
    trained = (
        2 * width * 2048 + 8 * width**2
    )  # queries, output, and a feed-forward of 4; keys and values are a medium's
    latents = 64

    assert operations.token == layers * (4 * frozen + 6 * trained + 6 * 2 * latents * 2048)
    assert operations.square == layers * 6 * 2 * width
    assert operations.target == pytest.approx(4 * width * 50304, rel=1e-3)  # and rows for new tokens


def test_a_picture_costs_the_frozen_encoder_no_backward(operations: Operations):
    features, width, inner, latents, grid = 3072, 1536, 16 * 96, 64, 14 * 14
    projected = 4 * features * width  # no gradient goes further back
    attended = 6 * (6 * width * 2 * inner + 6 * 2 * latents * inner)

    assert operations.frame == pytest.approx(456.6e9 + grid * (projected + attended), rel=1e-12)


def test_what_is_computed_anew_is_not_counted(backbones: FlamingoConfig):
    skeleton = build_skeleton(backbones)
    found = count_operations(skeleton)
    skeleton.checkpoint_activations("all")
    assert count_operations(skeleton) == found


def test_parameters_of_presets_are_those_of_their_backbones():
    billions = {name: count(build_skeleton(PRESETS[name]).language.lm.parameters()) / 1e9 for name in ("3b", "80b")}
    clip = build_skeleton(PRESETS["openflamingo-3b"]).vision

    assert billions["3b"] == pytest.approx(1.4146 + 1.1579, abs=1e-3)  # Pythia's card says 1,414,647,808
    assert billions["80b"] == pytest.approx(65.29 + 8.36, abs=1e-2)
    assert count(clip.parameters()) / 1e6 == pytest.approx(303.2, abs=0.1)  # ViT-L/14 without its projection
