"""The vision encoder: any Hugging Face backbone that turns pixels into a grid of features, frozen or trained on."""

import inspect

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import AutoModel, PretrainedConfig
from transformers.image_processing_base import ImageProcessingMixin

from model.hub import MAIN

Colour = tuple[float, float, float]
STRETCH = "interpolate_pos_encoding"
"""By which Hugging Face's vision transformers are told to stretch their embeddings of positions."""


class VisionEncoder(nn.Module):
    """A backbone behind uint8 pixels, with or without the class token before its patches.

    `size` is the side of the square it takes, in pixels; `mean` and `std` are its normalisation in 0..1;
    `width` is that of its features, found by running it once.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        size: int,
        mean: Colour,
        std: Colour,
        class_token: bool = True,
        frozen: bool = True,
        stretched: bool = False,
    ) -> None:
        """`frozen`: gives no gradient. `stretched`: `size` is another than the backbone's own, to which embeddings of
        positions are interpolated where it has any."""
        super().__init__()
        self.first_feature = 0 if class_token else 1
        self.frozen = frozen
        stretches = stretched and STRETCH in inspect.signature(backbone.forward).parameters
        self.options = {STRETCH: True} if stretches else {}
        self.backbone = backbone.requires_grad_(False)
        self.size, self.mean, self.std = size, mean, std
        self.train(False)
        with torch.no_grad():
            self.width = self.encode(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape[-1]

        if not frozen:
            self.unfreeze()

    def unfreeze(self) -> None:
        """Make trainable what has a share in the features; a pooler, say, has none, and stays as it is."""
        weights = list(self.backbone.requires_grad_(True).parameters())
        features = self.encode(torch.zeros(1, 3, self.size, self.size, dtype=torch.uint8, device=weights[0].device))
        gradients = torch.autograd.grad(features.sum(), weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.requires_grad_(gradient is not None)

    def train(self, mode: bool = True) -> "VisionEncoder":
        """The backbone stays in evaluation mode, whatever the mode of the model around it."""
        return super().train(False)

    def forward(self, pixels: Tensor, frame_mask: Tensor | None = None, *, calls: int = 1) -> Tensor:
        """uint8[media, time, 3, size, size] to float[media, time, space, width], without gradient where it is frozen.

        Only the frames of frame_mask bool[media, time] are looked at, in `calls` runs of the backbone one after
        the other; the features of padding are zero.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.look(pixels, frame_mask, calls)

    def look(self, pixels: Tensor, frame_mask: Tensor | None, calls: int) -> Tensor:
        """What `forward` gives, with gradient."""
        if frame_mask is None:
            frame_mask = pixels.new_ones(pixels.shape[:2], dtype=torch.bool)
        frames = pixels[frame_mask]
        seen = [self.encode(chunk) for chunk in frames.tensor_split(min(calls, len(frames)))]
        seen += [self.encode(frames[:1])[:0] for _ in range(calls - len(seen))]
        found = torch.cat(seen)
        features = found.new_zeros(*pixels.shape[:2], *found.shape[1:])
        features[frame_mask] = found
        return features

    def encode(self, frames: Tensor) -> Tensor:
        """uint8[frames, 3, size, size] to float[frames, space, width]."""
        output = self.backbone(pixel_values=self.normalise(frames), **self.options)
        return spatial_features(output, type(self.backbone).__name__)[:, self.first_feature :]

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8[frames, 3, size, size] to the backbone's dtype, by its mean and deviation."""
        mean, std = (torch.tensor(c, device=frames.device)[:, None, None] for c in (self.mean, self.std))
        dtype = next(self.backbone.parameters()).dtype
        return ((frames.float() / 255 - mean) / std).to(dtype)


def cast_statistics(model: nn.Module, dtype: torch.dtype) -> None:
    """Gives the statistics of batch norms the precision that their weights have or will have; other buffers stay.

    On a CPU torch refuses to normalise where the two differ.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            for name, statistic in module.named_buffers(recurse=False):
                if statistic.is_floating_point():
                    setattr(module, name, statistic.to(dtype))


def load_vision_encoder(
    source: str, *, revision: str = "", class_token: bool = True, image_size: int = 0, frozen: bool = True
) -> VisionEncoder:
    """Load the backbone and its normalisation from a local folder or a hub id, in float32.

    `revision` is a branch, tag or commit of a hub id, empty for its main branch; `image_size` is the side of the
    squares it is to take, in pixels, 0 for its own. Of a model with two towers (CLIP, SigLIP) the vision tower alone
    is kept; timm's models (NFNet) need timm, and torchvision for it. Raises ValueError where the source cannot be
    loaded or is not a vision backbone, and says what it lacks.
    """
    try:
        settings = preprocessing(source, revision or MAIN)
        model, report = AutoModel.from_pretrained(
            source, revision=revision or MAIN, dtype=torch.float32, output_loading_info=True
        )
    except (ImportError, OSError, ValueError) as error:
        raise ValueError(f"vision is {source!r}, which cannot be loaded as a vision encoder: {error}") from error
    backbone = getattr(model, "vision_model", model)
    if "pixel_values" not in inspect.signature(backbone.forward).parameters:
        raise ValueError(
            f"vision is {source!r}, a {type(backbone).__name__}, which lacks a forward that takes pixel_values"
        )
    own_size = square_side(settings, source)
    mean, std = colour(settings, "image_mean", source), colour(settings, "image_std", source)
    try:
        encoder = VisionEncoder(
            backbone,
            size=image_size or own_size,
            mean=mean,
            std=std,
            class_token=class_token,
            frozen=frozen,
            stretched=image_size not in (0, own_size),
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"vision is {source!r}, which cannot take pictures of {image_size or own_size} pixels: {error}"
        ) from error
    weights = model.state_dict()
    settle_missing(encoder, {name: weights[name] for name in sorted(report["missing_keys"])}, source)
    return encoder


def preprocessing(source: str, revision: str = MAIN) -> dict[str, object]:
    """The size, mean and deviation that the source's preprocessor, or the config of a timm model, names."""
    config, _ = PretrainedConfig.get_config_dict(source, revision=revision)
    of_timm = config.get("pretrained_cfg")
    if of_timm is None:
        return ImageProcessingMixin.get_image_processor_dict(source, revision=revision)[0]
    return {"size": of_timm["input_size"][-1], "image_mean": of_timm["mean"], "image_std": of_timm["std"]}


def settle_missing(encoder: VisionEncoder, missing: dict[str, Tensor], source: str) -> None:
    """Set weights that the source lacks, and that were drawn at random, to zero.

    A pooler that is not there does no harm, and at zero the encoder is the same each time it is loaded. Raises
    ValueError where the features change with the missing weights, so that the encoder would see at random.
    """
    ramp = torch.arange(3 * encoder.size**2).remainder(256).to(torch.uint8)
    picture = ramp.view(1, 1, 3, encoder.size, encoder.size)
    before = encoder(picture)
    for weights in missing.values():
        weights.zero_()
    if not torch.equal(before, encoder(picture)):
        raise ValueError(f"vision is {source!r}, which lacks weights that its features need: {', '.join(missing)}")


def spatial_features(output: object, name: str) -> Tensor:
    """float[frames, space, width] from a backbone's output; a convolutional grid is flattened row by row."""
    features = getattr(output, "last_hidden_state", None)
    if isinstance(features, Tensor) and features.ndim == 4:
        return features.flatten(2).transpose(1, 2)
    if isinstance(features, Tensor) and features.ndim == 3:
        return features
    shape = None if features is None else list(features.shape)
    raise ValueError(
        f"the vision encoder {name} lacks spatial features: last_hidden_state must be [frames, space, width] or"
        f" [frames, width, height, width], and is {shape}"
    )


def square_side(settings: dict[str, object], source: str) -> int:
    """The side in pixels of what a preprocessor hands to its model: after the crop where it crops."""
    crops = settings.get("do_center_crop") and settings.get("crop_size")
    size = settings["crop_size"] if crops else settings.get("size")
    sides = set(size.values()) if isinstance(size, dict) else {size}
    side = sides.pop()
    if sides or not isinstance(side, int):
        raise ValueError(f"preprocessor_config.json of {source!r} has size {size!r}, and a square in pixels is needed")
    return side


def colour(settings: dict[str, object], name: str, source: str) -> Colour:
    """Three numbers in 0..1 for red, green and blue."""
    match settings.get(name):
        case [float() | int() as red, float() | int() as green, float() | int() as blue]:
            return red, green, blue
        case other:
            raise ValueError(f"preprocessor_config.json of {source!r} has {name} {other!r}, and needs 3 numbers")
