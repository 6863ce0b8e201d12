"""The memory that a dry run reckons with: measured peaks of real updates, on the CPU."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_workers import measure_peaks
from squares import make_tokenizer
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel, OPTConfig, OPTForCausalLM

from model.flamingo import FlamingoConfig
from model.presets import OPEN_FLAMINGO
from training.config import DatasetConfig, TrainingConfig
from training.memory import DTYPES, estimate_memory
from training.skeleton import build_skeleton

PAGES = DatasetConfig(uri="none", kind="interleaved", batch=8, max_text=64, max_images=4)
SPREADS = {
    "stage 3": {},
    "stage 2": {"zero_stage": 2},
    "stage 0": {"zero_stage": 0},
    "stage 3, bf16": {"precision": "bf16"},
    "stage 3, feed-forwards anew": {"checkpoint_activations": "feed_forwards"},
    "stage 3, all anew, cut": {"checkpoint_activations": "all", "micro_batch": 2},
}


@pytest.fixture(scope="module")
def configs(make_config: Callable[..., TrainingConfig], tmp_path_factory) -> dict[str, TrainingConfig]:
    config = dataclasses.replace(make_config(tmp_path_factory.mktemp("runs")), datasets={"pages": PAGES})
    return {name: dataclasses.replace(config, **changes) for name, changes in SPREADS.items()}


@pytest.fixture(scope="module")
def measured(configs: dict[str, TrainingConfig], tmp_path_factory) -> dict[str, int]:
    return measure_peaks(configs, tmp_path_factory.mktemp("peaks"))


@pytest.mark.parametrize("spread", SPREADS)
def test_memory_at_nano_is_that_of_a_real_update(configs: dict[str, TrainingConfig], measured: dict[str, int], spread):
    assert reckon(configs[spread]) == pytest.approx(measured[spread], rel=0.15)


def reckon(config: TrainingConfig) -> int:
    return sum(estimate_memory(build_skeleton(config.model, DTYPES[config.precision]), config).values())


@pytest.fixture(scope="module")
def opt(tmp_path_factory) -> FlamingoConfig:
    """Random backbones of the shapes of CLIP ViT-B/32 and OPT-125M, with blocks before every layer."""
    folder = tmp_path_factory.mktemp("opt")
    CLIPVisionModel(CLIPVisionConfig()).save_pretrained(folder / "vision")
    CLIPImageProcessorPil().save_pretrained(folder / "vision")
    OPTForCausalLM(OPTConfig()).save_pretrained(folder / "language")
    make_tokenizer().save_pretrained(folder / "language")
    vision, language = str(folder / "vision"), str(folder / "language")
    return dataclasses.replace(OPEN_FLAMINGO, vision=vision, language=language, resampler_width=768)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_at_the_shape_of_opt_125m_is_that_of_a_real_update(opt: FlamingoConfig, tmp_path: Path):
    dataset = DatasetConfig(uri="none", kind="interleaved", batch=4, max_text=256)
    whole = TrainingConfig(output=str(tmp_path), model=opt, datasets={"pages": dataset})
    names = ("stage 3", "stage 2", "stage 0", "stage 3, bf16")
    configs = {name: dataclasses.replace(whole, **SPREADS[name]) for name in names}
    measured = measure_peaks(configs, tmp_path)
    shares = {name: reckon(config) / measured[name] for name, config in configs.items()}
    print(shares)
    assert shares == {name: pytest.approx(1.0, rel=0.15) for name in configs}
