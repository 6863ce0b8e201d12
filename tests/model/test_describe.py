"""Parameters of the presets, by formula and beside the paper's."""

import pytest

from model.describe import PAPER_RESAMPLER, counts, main
from model.presets import PRESETS, SHAPES


def block_formula(width: int, media: int = 1536, heads_width: int | None = None) -> int:
    """Queries and output, keys and values, feed-forward of 4, three norms (weight and bias), two gates."""
    inner = heads_width or width
    return 2 * width * inner + 2 * media * inner + 8 * width**2 + 4 * width + 2 * media + 2


def resampler_formula(inner: int, width: int = 1536, features: int = 3072) -> int:
    """The map of the features, 8 time embeddings, 64 latents, and 6 layers with three norms each."""
    layer = 4 * width * inner + 8 * width**2 + 6 * width
    return features * width + 8 * width + 64 * width + 6 * layer


@pytest.mark.parametrize(
    ("name", "blocks", "width", "billions"), [("3b", 24, 2048, 1.16), ("9b", 10, 4096, 1.80), ("80b", 12, 8192, 8.36)]
)
def test_gated_blocks_follow_from_the_papers_widths(name, blocks, width, billions):
    found = counts(name)
    assert found.block_number == blocks
    assert found.blocks == blocks * block_formula(width)
    assert found.blocks / 1e9 == pytest.approx(billions, abs=0.005)
    heads = PRESETS[name].cross_attention_heads * PRESETS[name].cross_attention_head_width
    assert heads == SHAPES[name].width == width


def test_the_resampler_has_175_million_with_heads_of_96_and_the_papers_194_with_heads_of_128():
    assert counts("3b").resampler == resampler_formula(16 * 96)
    assert resampler_formula(16 * 96) / 1e6 == pytest.approx(175, abs=0.5)
    assert resampler_formula(16 * 128) / 1e6 == pytest.approx(PAPER_RESAMPLER / 1e6, abs=0.5)


@pytest.mark.parametrize(("name", "blocks"), [("openflamingo-3b", 24), ("openflamingo-4b", 16), ("openflamingo-9b", 8)])
def test_openflamingo_has_a_block_before_every_nth_layer(name, blocks):
    width = SHAPES[name].width
    norm_of_media = 2 * 1024
    assert counts(name).blocks == blocks * (block_formula(width, 1024, 512) - norm_of_media)


def test_the_command_prints_a_table_and_refuses_what_it_does_not_know(capsys):
    assert main(["3b"]) == 0
    printed = capsys.readouterr().out
    assert "1,158M" in printed
    assert "1,200M" in printed
    assert main(["4b"]) == 2
    assert "preset is '4b', and must be one of nano, 3b" in capsys.readouterr().err
