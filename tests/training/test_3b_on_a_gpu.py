"""Flamingo-3B's shape on one GPU: ZeRO-3, bf16, layers computed anew, shards of our own. Needs a GPU of 40 GB."""

import dataclasses
from pathlib import Path
from statistics import median

import pytest
import torch
from squares import COLOURS, document, make_tokenizer, picture, write_dataset
from transformers import (
    AutoConfig,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
)

from model.known_backbones import CONFIGS
from model.presets import CLIP, PRESETS
from shards.document import Block, Document, Media, Text
from training.config import DatasetConfig, TrainingConfig
from training.log import read_log
from training.memory import DTYPES, estimate_memory
from training.run import run
from training.skeleton import build_skeleton

UPDATES, UNCOUNTED = 12, 2
IMAGES, WORDS = 5, 48
"""Of a page, and of the text behind each: a window of 256 tokens is full."""


def long_page(number: int) -> Document:
    colours = [list(COLOURS)[(number + place) % len(COLOURS)] for place in range(IMAGES)]
    blocks = list[Block]()
    for colour in colours:
        blocks.append(Media(kind="image", frames=(picture(colour, (320, 240)),)))
        blocks.append(Text(text=" ".join([colour] * WORDS)))
    return document(number, *blocks)


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    """A run of the preset 3b on backbones of random weights: Pythia-1.4B's shape, and for vision CLIP ViT-L/14's, for
    NFNet-F6 needs timm."""
    preset, backbones = PRESETS["3b"], tmp_path / "backbones"
    vision, language = AutoConfig.for_model(**CONFIGS[CLIP]), AutoConfig.for_model(**CONFIGS[preset.language])
    assert isinstance(vision, CLIPVisionConfig)
    assert isinstance(language, GPTNeoXConfig)
    with torch.device("cuda"):
        CLIPVisionModel(vision).save_pretrained(backbones / "vision")
        GPTNeoXForCausalLM(language).save_pretrained(backbones / "language")
    CLIPImageProcessorPil().save_pretrained(backbones / "vision")
    make_tokenizer().save_pretrained(backbones / "language")
    pages = write_dataset(tmp_path / "pages", [long_page(number) for number in range(64)], chunks=2)
    return TrainingConfig(
        output=str(tmp_path / "run"),
        model=dataclasses.replace(preset, vision=str(backbones / "vision"), language=str(backbones / "language")),
        datasets={"pages": DatasetConfig(uri=pages, kind="interleaved", batch=32)},
        updates=UPDATES,
        precision="bf16",
        workers=1,
        gpu=True,
        micro_batch=8,
        checkpoint_activations="all",
    )


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.usefixtures("ray_cluster")
def test_the_shape_of_3b_trains_on_one_gpu_in_the_memory_that_a_dry_run_says(config: TrainingConfig):
    run(config)

    records = read_log(Path(config.output))
    counted = records[UNCOUNTED:]
    seconds = [record["seconds"] for record in counted]
    waited = sum(record["phase_seconds"]["data"] for record in counted) / sum(seconds)
    peak = records[-1]["peak_gpu_memory_mb"] * 2**20
    reckoned = sum(estimate_memory(build_skeleton(config.model, DTYPES[config.precision]), config).values())
    print(
        f"{1 / median(seconds):.2f} updates/s, utilisation {median(one['utilisation'] for one in counted):.3f}, peak "
        f"{peak / 1e9:.1f} GB of {reckoned / 1e9:.1f} reckoned, {waited:.1%} waiting for data"
    )
    assert all(record["loss"]["pages"] < 20 for record in records)
    assert waited < 0.05
    assert peak < 1.15 * reckoned
