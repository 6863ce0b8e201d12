"""Adapters on disk: what comes back is what was saved, and only on the backbones it was trained on."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.flamingo import Flamingo
from model.prompt import Prompt, prompt_batch


@pytest.fixture
def saved(build, tmp_path):
    """A folder of adapters with open gates, and the Flamingo that they were saved from."""
    flamingo = build("llama", gates=0.5)
    flamingo.save_pretrained(tmp_path / "adapters")
    return tmp_path / "adapters", flamingo


@pytest.mark.parametrize("family", ["llama", "llama-tied", "opt"])
def test_what_was_saved_comes_back_bit_for_bit(build, tmp_path, picture, family):
    flamingo = build(family, gates=0.5)
    flamingo.save_pretrained(tmp_path)
    again = Flamingo.from_pretrained(tmp_path)
    batch = prompt_batch(flamingo, [Prompt(text="a <image> red", images=(picture("red"),))])
    with torch.no_grad():
        assert torch.equal(flamingo(batch), again(batch))


def test_only_what_is_trained_is_saved(saved):
    folder, flamingo = saved
    assert sorted(path.name for path in folder.iterdir()) == ["adapters.safetensors", "config.json"]
    weights = load_file(folder / "adapters.safetensors")
    assert sum(value.numel() for value in weights.values()) == sum(
        parameter.numel() for parameter in flamingo.trained_parameters()
    )


@pytest.mark.parametrize(("part", "other"), [("language", "llama-tied"), ("vision", "siglip")])
def test_another_backbone_is_refused(saved, backbone, part, other):
    folder, _ = saved
    described = json.loads((folder / "config.json").read_text())
    described["flamingo"][part] = backbone(other)
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match=f"were trained on other {part} weights than {re.escape(backbone(other))}"):
        Flamingo.from_pretrained(folder)


def test_one_changed_weight_of_a_backbone_is_noticed(saved, tmp_path):
    folder, flamingo = saved
    copy = tmp_path / "lm"
    shutil.copytree(flamingo.config.language, copy)
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-6
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    described = json.loads((folder / "config.json").read_text())
    described["flamingo"]["language"] = str(copy)
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match="other language weights"):
        Flamingo.from_pretrained(folder)


def test_adapters_of_other_widths_are_refused(saved, build):
    _, flamingo = saved
    with pytest.raises(ValueError, match="were trained with another configuration"):
        build("llama", latents=5).load_adapter_state_dict(flamingo.adapter_state_dict())
    state = flamingo.adapter_state_dict()
    del state["resampler.latents"]
    with pytest.raises(ValueError, match=r"the adapters hold resampler\.latents with shape None"):
        flamingo.load_adapter_state_dict(state)


def test_folders_that_hold_no_adapters_are_refused(tmp_path, saved):
    folder, _ = saved
    with pytest.raises(ValueError, match="holds no adapters"):
        Flamingo.from_pretrained(tmp_path / "nowhere")
    (folder / "adapters.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="cannot be read"):
        Flamingo.from_pretrained(folder)
    (folder / "config.json").write_text('{"flamingo": {"vision": "v"}}')
    with pytest.raises(ValueError, match="cannot be read"):
        Flamingo.from_pretrained(folder)
