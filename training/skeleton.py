"""A Flamingo on the meta device, where tensors have shapes and no values: nothing is downloaded, loaded or computed.

the run's config ──► backbones from their configs, or from a table ──► Flamingo(...) ──► one batch through it
"""

from types import SimpleNamespace

import torch
from tokenizers import Tokenizer, models
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from model.config import FlamingoConfig
from model.flamingo import Flamingo
from model.known_backbones import CONFIGS, VISION_SHAPES, VisionShape
from model.language import LanguageModel
from model.vision import VisionEncoder, preprocessing, square_side

ANY_COLOUR = (0.5, 0.5, 0.5)


def build_skeleton(config: FlamingoConfig, dtype: torch.dtype = torch.float32) -> Flamingo:
    """The Flamingo of `config` with new tokens and blocks, its weights of `dtype`.

    Raises ValueError where a backbone's config is neither in a local folder, nor in the presets' table, nor on the hub.
    """
    with torch.device("meta"):
        lm = AutoModelForCausalLM.from_config(language_config(config.language), dtype=torch.float32)
        language = LanguageModel(lm, one_word_tokenizer())
        flamingo = Flamingo(config, vision_skeleton(config), language, {})
    language.hands_media_down = False  # whether the LM would do so is not known, and costs nothing
    return flamingo.to(dtype)


def language_config(source: str) -> PretrainedConfig:
    """The language model's config, from the presets' table where it is in it."""
    if source in CONFIGS:
        return AutoConfig.for_model(**CONFIGS[source])
    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise ValueError(f"language is {source!r}, whose config cannot be read: {error}") from error


def vision_skeleton(config: FlamingoConfig) -> VisionEncoder:
    """The vision encoder: of the table, or built from its own config.

    Raises ValueError where its config cannot be read, and where one that is not frozen is known by its numbers alone.
    """
    source = config.vision
    if source in VISION_SHAPES and not config.vision_frozen:
        raise ValueError(f"vision is {source!r}, of which only the cost of a frozen one is known; set vision_frozen")
    try:
        backbone, size = vision_backbone(source)
    except (OSError, ValueError) as error:
        raise ValueError(f"vision is {source!r}, whose config cannot be read: {error}") from error
    return VisionEncoder(
        backbone,
        size=config.image_size or size,
        mean=ANY_COLOUR,
        std=ANY_COLOUR,
        class_token=config.vision_class_token,
        frozen=config.vision_frozen,
        stretched=config.image_size not in (0, size),
    )


def vision_backbone(source: str) -> tuple[nn.Module, int]:
    """The backbone, and the side of the squares that it takes, in pixels."""
    if source in VISION_SHAPES:
        return StandIn(VISION_SHAPES[source]), VISION_SHAPES[source].size
    known = CONFIGS.get(source)
    settings = AutoConfig.for_model(**known) if known else AutoConfig.from_pretrained(source)
    model = AutoModel.from_config(settings, dtype=torch.float32)
    size = settings.image_size if known else square_side(preprocessing(source), source)
    return getattr(model, "vision_model", model), size


class StandIn(nn.Module):
    """A vision backbone of which no more than its numbers is known."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.shape = shape
        self.weights = nn.Parameter(torch.empty(shape.parameters))

    def area(self, size: int) -> float:
        """Of a picture of `size` pixels a side, as a share of what the numbers are for."""
        return (size / self.shape.size) ** 2

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        """float[frames, 3, size, size] to a grid of features."""
        frames, _, size, _ = pixel_values.shape
        live = pixel_values.new_empty(frames, round(self.shape.live * self.area(size)))
        grid = self.shape.grid * size // self.shape.size
        return SimpleNamespace(last_hidden_state=live.new_empty(frames, self.shape.width, grid, grid))


def one_word_tokenizer() -> PreTrainedTokenizerBase:
    """Enough of a tokenizer for new tokens to get ids."""
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
