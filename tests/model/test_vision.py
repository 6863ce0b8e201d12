"""Vision backbones of several kinds behind one door, and pictures on their way to it."""

import importlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from model.image import fit, open_image
from model.vision import cast_statistics, load_vision_encoder, preprocessing


@pytest.mark.parametrize(
    ("family", "space"),
    [("vit", 5), ("clip", 5), ("siglip", 4), ("dinov2", 5), ("convnext", 4), ("resnet", 4)],
)
def test_backbones_of_several_kinds_give_features_by_frame(backbone, family, space):
    encoder = load_vision_encoder(backbone(family))
    pixels = torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8)
    features = encoder(pixels)
    assert features.shape == (2, 3, space, 16)
    assert encoder.width == 16
    assert not features.requires_grad
    torch.testing.assert_close(encoder(pixels[1:, 2:])[0, 0], features[1, 2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["vit", "clip", "siglip", "dinov2", "convnext", "resnet"])
def test_backbones_of_several_kinds_are_kept_in_bf16(backbone, family):
    encoder = load_vision_encoder(backbone(family))
    pixels = torch.randint(0, 256, (2, 1, 3, 16, 16), dtype=torch.uint8)
    exact = encoder(pixels)
    for parameter in encoder.parameters():
        parameter.data = parameter.data.bfloat16()
    cast_statistics(encoder, torch.bfloat16)
    features = encoder(pixels)
    assert features.dtype == torch.bfloat16
    torch.testing.assert_close(features.float(), exact, rtol=0.1, atol=0.1 * float(exact.abs().max()))


def test_pixels_are_normalised_as_the_preprocessor_says_and_grids_flattened_row_by_row(backbone):
    encoder = load_vision_encoder(backbone("convnext"))
    pixels = torch.randint(0, 256, (1, 1, 3, 16, 16), dtype=torch.uint8)
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
    normalised = (pixels[0].numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        raw = AutoModel.from_pretrained(backbone("convnext"))
        grid = raw.eval()(torch.tensor(normalised, dtype=torch.float32)).last_hidden_state
    assert encoder.mean == (0.4, 0.5, 0.6)
    torch.testing.assert_close(encoder(pixels)[0, 0, 1], grid[0, :, 0, 1], rtol=1e-4, atol=1e-5)


def altered(source: str, folder: Path, **settings: object) -> str:
    """A copy of a backbone whose preprocessor says something else."""
    shutil.copytree(source, folder)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return str(folder)


def test_the_size_is_that_after_the_crop(backbone, tmp_path):
    crop = {"size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": {"height": 16, "width": 16}}
    assert load_vision_encoder(altered(backbone("vit"), tmp_path / "v", **crop)).size == 16


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": {"height": 16, "width": 8}}, "a square in pixels is needed"),
        ({"size": None}, "a square in pixels is needed"),
        ({"image_mean": [0.5]}, "image_mean"),
    ],
)
def test_preprocessors_that_say_too_little_are_refused(backbone, tmp_path, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_vision_encoder(altered(backbone("vit"), tmp_path / "v", **settings))


def test_a_text_model_is_refused_with_what_it_lacks(backbone, tmp_path):
    shutil.copytree(backbone("llama"), tmp_path / "v")
    shutil.copy(Path(backbone("vit")) / "preprocessor_config.json", tmp_path / "v")
    with pytest.raises(ValueError, match="LlamaModel, which lacks a forward that takes pixel_values"):
        load_vision_encoder(str(tmp_path / "v"))


def test_a_folder_without_a_preprocessor_is_refused(backbone, tmp_path):
    shutil.copytree(backbone("vit"), tmp_path / "v")
    (tmp_path / "v" / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="cannot be loaded as a vision encoder"):
        load_vision_encoder(str(tmp_path / "v"))


def test_timms_models_say_their_size_and_colours_in_their_config(tmp_path):
    of_timm = {"input_size": [3, 448, 576], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    config = {"architecture": "dm_nfnet_f6", "num_classes": 0, "pretrained_cfg": of_timm}
    (tmp_path / "config.json").write_text(json.dumps(config))
    settings = preprocessing(str(tmp_path))
    assert settings == {"size": 576, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    with pytest.raises(ValueError, match="cannot be loaded as a vision encoder"):
        load_vision_encoder(str(tmp_path))


def test_an_nfnet_of_timm_is_read_as_a_grid_row_by_row(tmp_path):
    try:
        importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm, or a torchvision that suits this torch, is not installed: {error}")
    from transformers import TimmWrapperConfig, TimmWrapperModel

    config = TimmWrapperConfig(architecture="dm_nfnet_f0", do_pooling=False)
    config.pretrained_cfg = {"input_size": [3, 96, 96], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    TimmWrapperModel(config).save_pretrained(tmp_path)
    encoder = load_vision_encoder(str(tmp_path))
    pixels = torch.randint(0, 256, (2, 1, 3, 96, 96), dtype=torch.uint8)
    with torch.no_grad():
        grid = cast(Any, encoder.backbone).timm_model.forward_features((pixels[:, 0] / 255 - 0.5) / 0.25)
    assert (encoder.size, encoder.width, list(grid.shape)) == (96, 3072, [2, 3072, 3, 3])
    torch.testing.assert_close(encoder(pixels)[:, 0, 5], grid[:, :, 1, 2])


def test_a_class_token_can_be_left_out(backbone):
    pixels = torch.randint(0, 256, (1, 1, 3, 16, 16), dtype=torch.uint8)
    whole = load_vision_encoder(backbone("clip"))(pixels)
    patches = load_vision_encoder(backbone("clip"), class_token=False)(pixels)
    assert torch.equal(patches, whole[:, :, 1:])


def test_weights_that_the_features_need_must_be_there(backbone, tmp_path):
    folder = tmp_path / "v"
    shutil.copytree(backbone("vit"), folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "patch_embeddings" in name and name.endswith("weight"))
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"lacks weights that its features need: {name}"):
        load_vision_encoder(str(folder))


def test_pictures_keep_their_aspect_in_the_middle_of_the_mean_colour(picture):
    fitted = fit(picture("red"), 16, (0.4, 0.5, 0.6))
    assert fitted.shape == (3, 16, 16)
    assert fitted.dtype == np.uint8
    red, mean = [255, 0, 0], [102, 128, 153]
    rows = fitted.transpose(1, 2, 0)
    assert (rows[4:12] == red).all()
    assert (rows[:4] == mean).all()
    assert (rows[12:] == mean).all()


def test_small_pictures_are_enlarged_and_grey_and_transparent_ones_become_colour():
    grey = fit(Image.new("L", (4, 4), 200), 8, (0.0, 0.0, 0.0))
    assert (grey == 200).all()
    clear = fit(Image.new("RGBA", (4, 4), (255, 255, 255, 0)), 8, (1.0, 0.0, 0.0))
    assert (clear.transpose(1, 2, 0) == [255, 0, 0]).all()


def test_pictures_that_cannot_be_read_are_refused_in_a_sentence(tmp_path, picture, monkeypatch):
    good, cut, text = tmp_path / "good.png", tmp_path / "cut.png", tmp_path / "text.png"
    picture("red").save(good)
    cut.write_bytes(good.read_bytes()[:50])
    text.write_text("not a picture")
    assert open_image(good).size == (20, 10)
    for path in (cut, text, tmp_path / "missing.png"):
        with pytest.raises(ValueError, match=f"{path.name} cannot be read as a picture"):
            open_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="holds more than the 150 pixels"):
            open_image(good)


@pytest.mark.parametrize(
    ("family", "space"),
    [("vit", 17), ("clip", 17), ("siglip", 16), ("dinov2", 17), ("convnext", 16), ("resnet", 16)],
)
def test_larger_pictures_have_more_features_and_the_positions_of_smaller_ones(backbone, family, space):
    usual, larger = load_vision_encoder(backbone(family)), load_vision_encoder(backbone(family), image_size=32)
    pixels = torch.randint(0, 256, (1, 1, 3, 32, 32), dtype=torch.uint8)

    assert larger.size == 32
    assert larger(pixels).shape == (1, 1, space, 16)
    again = load_vision_encoder(backbone(family), image_size=16)(pixels[..., :16, :16])
    torch.testing.assert_close(again, usual(pixels[..., :16, :16]), rtol=0, atol=0)


def test_embeddings_of_positions_are_interpolated(backbone):
    usual, larger = load_vision_encoder(backbone("vit")), load_vision_encoder(backbone("vit"), image_size=32)
    embeddings: Any
    embeddings, of_larger = usual.backbone.embeddings, cast("Any", larger.backbone.embeddings)
    positions = embeddings.position_embeddings.detach()
    grid = positions[:, 1:].reshape(1, 2, 2, 16).permute(0, 3, 1, 2)
    stretched = torch.nn.functional.interpolate(grid, size=(4, 4), mode="bicubic", align_corners=False)
    expected = torch.cat([positions[:, :1], stretched.flatten(2).transpose(1, 2)], dim=1)

    frames = larger.normalise(torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8))
    patches = embeddings.patch_embeddings.projection(frames).flatten(2).transpose(1, 2)
    tokens = torch.cat([embeddings.cls_token, patches], dim=1) + expected
    found = of_larger(frames, interpolate_pos_encoding=True)
    torch.testing.assert_close(found, tokens)
    assert larger.options == {"interpolate_pos_encoding": True}


@pytest.mark.parametrize("family", ["vit", "clip", "resnet"])
def test_what_is_unfrozen_has_a_gradient(backbone, family):
    encoder = load_vision_encoder(backbone(family), frozen=False)
    features = encoder(torch.randint(0, 256, (2, 1, 3, 16, 16), dtype=torch.uint8))
    features.sum().backward()

    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert sum(parameter.requires_grad for parameter in encoder.parameters()) > 5
    with torch.no_grad():
        assert not encoder(torch.zeros(1, 1, 3, 16, 16, dtype=torch.uint8)).requires_grad


def test_a_size_that_a_backbone_cannot_take_is_refused(backbone):
    with pytest.raises(ValueError, match=r"which cannot take pictures of 4 pixels: "):
        load_vision_encoder(backbone("vit"), image_size=4)
