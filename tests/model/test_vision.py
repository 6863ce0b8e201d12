"""Vision backbones of several kinds behind one door, and pictures on their way to it."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from model.image import fit, open_image
from model.vision import load_vision_encoder, preprocessing


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
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "dm_nfnet_f6", "pretrained_cfg": of_timm}))
    settings = preprocessing(str(tmp_path))
    assert settings == {"size": 576, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    with pytest.raises(ValueError, match="cannot be loaded as a vision encoder"):
        load_vision_encoder(str(tmp_path))


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
