"""OpenFlamingo's layout, its logits, and what cannot be converted."""

import json
from dataclasses import replace

import pytest
import torch
from open_flamingo_recipe import END, EVERY, FEATURES, GOLDEN, IMAGE, TEXTS, WORDS, drawn, features, language_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

from model.batch import FlamingoBatch
from model.convert import main
from model.flamingo import Flamingo
from model.language import LanguageModel
from model.open_flamingo import adapters_from_open_flamingo, adapters_to_open_flamingo, flat
from model.presets import OPEN_FLAMINGO
from model.vision import VisionEncoder

EVEN = (0.5, 0.5, 0.5)


class Patches(nn.Module):
    """In place of a vision encoder: a class token, which OpenFlamingo leaves out, and the recipe's features."""

    def __init__(self):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, pixel_values):
        patches = features()[: len(pixel_values)]
        return BaseModelOutput(last_hidden_state=torch.cat([torch.full_like(patches[:, :1], 9.0), patches], dim=1))


def open_flamingo() -> Flamingo:
    """Ours, in OpenFlamingo's shape at the recipe's size."""
    config = replace(
        OPEN_FLAMINGO, resampler_width=FEATURES, cross_attention_every=EVERY, cross_attention_first=EVERY - 1
    )
    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(WORDS)}, unk_token="w3"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w3", eos_token="w2", bos_token="w2")
    vision = VisionEncoder(Patches(), size=4, mean=EVEN, std=EVEN, class_token=config.vision_class_token)
    return Flamingo(config, vision, LanguageModel(language_model(), tokenizer), {"vision": "", "language": ""})


def released(flamingo: Flamingo) -> dict[str, torch.Tensor]:
    """The recipe's weights under the names that OpenFlamingo releases them with."""
    state = {}
    for name, value in adapters_to_open_flamingo(flamingo).items():
        if name.startswith("perceiver."):
            state[name] = drawn(name, tuple(value.shape))
        elif ".gated_cross_attn_layer." in name:
            layer, rest = name.removeprefix("lang_encoder.model.decoder.layers.").split(".gated_cross_attn_layer.")
            state[name] = drawn(f"block.{layer}.{rest}", tuple(value.shape))
        else:
            state[name] = torch.cat([value[:WORDS], drawn("new", (3, value.shape[1]))])
    return state


def batch(flamingo: Flamingo) -> FlamingoBatch:
    """The recipe's texts; our `<EOC>` and `<image>` have the other's ids."""
    swap = {END: flamingo.end_of_chunk_token_id, IMAGE: flamingo.image_token_id}
    ids = torch.tensor([[swap.get(token, token) for token in text] for text in TEXTS])
    seen = (ids == flamingo.image_token_id).cumsum(dim=1) - 1
    return FlamingoBatch(
        input_ids=ids,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        media_index=torch.where(seen < 0, -1, seen + torch.tensor([[0], [2]])),
        pixels=torch.zeros(4, 1, 3, 4, 4, dtype=torch.uint8),
        frame_mask=torch.ones(4, 1, dtype=torch.bool),
        labels=ids,
    )


def older(name: str) -> str:
    """The name of a block's weight in the older form."""
    layers = "lang_encoder.model.decoder.layers."
    if ".gated_cross_attn_layer." not in name:
        return name
    layer, rest = name.removeprefix(layers).split(".gated_cross_attn_layer.")
    return f"lang_encoder.gated_cross_attn_layers.{layer}.{rest}"


@pytest.mark.parametrize("form", ["newer", "older", "module", "wrapped"])
def test_logits_are_openflamingos_for_its_weights_in_any_form(form):
    flamingo = open_flamingo()
    state = released(flamingo)
    if form == "older":
        state = {older(name): value for name, value in state.items()}
    elif form == "module":
        state = {f"module.{name}": value for name, value in state.items()}
    elif form == "wrapped":
        state = {"epoch": 3, "model_state_dict": state}
    flamingo.load_adapter_state_dict(adapters_from_open_flamingo(state, flamingo))
    golden = torch.tensor(json.loads(GOLDEN.read_text()))
    with torch.no_grad():
        logits = flamingo(batch(flamingo))
    in_order = [*range(WORDS), flamingo.end_of_chunk_token_id, flamingo.image_token_id, WORDS + 2]
    torch.testing.assert_close(logits[..., in_order], golden, rtol=1e-5, atol=1e-5)


def test_what_is_written_back_is_what_was_read():
    flamingo = open_flamingo()
    state = released(flamingo)
    flamingo.load_adapter_state_dict(adapters_from_open_flamingo(state, flamingo))
    again = adapters_to_open_flamingo(flamingo)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], value) for name, value in state.items())


def test_checkpoints_without_an_embedding_leave_the_new_tokens_as_they_are():
    flamingo = open_flamingo()
    state = {name: value for name, value in released(flamingo).items() if not name.endswith("embed_tokens.weight")}
    before = flamingo.adapter_state_dict()["language.lm.lm_head.new"].clone()
    flamingo.load_adapter_state_dict(adapters_from_open_flamingo(state, flamingo))
    assert torch.equal(flamingo.adapter_state_dict()["language.lm.lm_head.new"], before)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"a": torch.zeros(1)}, "has no perceiver"),
        ({"perceiver.layers.0.2.weight": torch.zeros(1)}, r"holds perceiver\.layers\.0\.2\.weight, which is no weight"),
        ({"model_state_dict": 3}, "holds a int, and must hold tensors by name"),
    ],
)
def test_other_checkpoints_are_refused(state, sentence):
    with pytest.raises(ValueError, match=sentence):
        adapters_from_open_flamingo(state, open_flamingo())


def test_an_embedding_of_another_language_model_is_refused():
    flamingo = open_flamingo()
    state = {name: value[:WORDS] if "embed" in name else value for name, value in released(flamingo).items()}
    with pytest.raises(ValueError, match="embedding has 20 rows, and 20 tokens and 3 new ones are needed"):
        adapters_from_open_flamingo(state, flamingo)


def test_the_command_converts_there_and_back(backbone, tmp_path, monkeypatch):
    preset = replace(OPEN_FLAMINGO, resampler_width=16, cross_attention_every=2, cross_attention_first=1)
    monkeypatch.setitem(main.__globals__["PRESETS"], "openflamingo-3b", preset)
    backbones = {"vision": backbone("clip"), "language": backbone("gpt-neox")}
    torch.manual_seed(1)
    flamingo = Flamingo.from_backbones(replace(preset, **backbones))
    save_file(adapters_to_open_flamingo(flamingo), tmp_path / "theirs.safetensors")
    named = ["--vision", backbones["vision"], "--language", backbones["language"]]
    there = [str(tmp_path / "theirs.safetensors"), str(tmp_path / "ours"), "--preset", "openflamingo-3b", *named]
    assert main(there) == 0
    assert main(["--to_open_flamingo", str(tmp_path / "ours"), str(tmp_path / "again.pt")]) == 0
    again = torch.load(tmp_path / "again.pt", weights_only=True)
    for name, value in load_file(tmp_path / "theirs.safetensors").items():
        assert torch.equal(again[name], value)


def test_the_command_says_what_sets_idefics_apart_and_unpickles_nothing(tmp_path, capsys):
    save_file({"model.gated_cross_attn_layers.0.alpha_dense": torch.zeros(1)}, tmp_path / "idefics.safetensors")
    (tmp_path / "odd.pt").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    for file, sentence in [("idefics.safetensors", "gated SiLU"), ("odd.pt", "cannot be read as a checkpoint")]:
        assert main([str(tmp_path / file), str(tmp_path / "ours")]) == 2
        assert sentence in capsys.readouterr().err
    assert flat({"module.a": torch.ones(1)}) == {"a": torch.ones(1)}
