"""Flamingo: a frozen vision encoder and a frozen language model, joined by two trained parts."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from model.adapters import fingerprint, read_adapters, write_adapters
from model.arrangement import Arrangement, arrange, arrange_all
from model.batch import FlamingoBatch
from model.config import FlamingoConfig
from model.cross_attention import BlockShape, GatedCrossAttention
from model.decoding import decode_greedily
from model.language import END_OF_CHUNK_TOKEN, IMAGE_TOKEN, LanguageModel, load_language_model, token_id
from model.layers import SeenMedia, decoder_layers, graft
from model.resampler import ResamplerShape
from model.resampler_ablations import RESAMPLERS
from model.vision import VisionEncoder, load_vision_encoder

__all__ = ["Flamingo", "FlamingoBatch", "FlamingoConfig"]


class Flamingo(nn.Module):
    """p(y|x) = prod_l p(y_l | y_<l, x_<=l): text given the images and videos interleaved with it.

    Trained are the resampler, the gated blocks and the new tokens' tables; everything else is frozen. At the
    start the gates are shut, and the logits of the known tokens are the frozen model's, bit for bit.
    """

    def __init__(
        self,
        config: FlamingoConfig,
        vision: VisionEncoder,
        language: LanguageModel,
        fingerprints: Mapping[str, str],
    ) -> None:
        """`fingerprints` are those of the untouched backbones, `vision` and `language`."""
        super().__init__()
        self.config = config
        self.fingerprints = dict(fingerprints)
        self.vision = vision
        self.resampler = RESAMPLERS[config.resampler](resampler_shape(config, vision.width))
        self.language = language
        depth = len(decoder_layers(language.lm))
        positions = list(range(config.cross_attention_first, depth, config.cross_attention_every))
        if config.cross_attention == "grafting":
            positions = list(range(depth, depth + len(graft(language.lm, len(positions)))))
        language.insert_blocks(positions, partial(GatedCrossAttention, block_shape(config, language.width)))
        if not config.language_frozen:
            language.lm.requires_grad_(True)
        self.tokenizer = language.tokenizer
        self.image_token_id = token_id(self.tokenizer, IMAGE_TOKEN)
        self.end_of_chunk_token_id = token_id(self.tokenizer, END_OF_CHUNK_TOKEN)
        self.image_size = vision.size
        self.image_mean = vision.mean
        language.probe(config.resampler_width)

    @classmethod
    def from_backbones(cls, config: FlamingoConfig) -> "Flamingo":
        """A new Flamingo, its gates shut, drawn from torch's global random state.

        Raises ValueError where a backbone cannot be loaded or lacks what Flamingo needs.
        """
        vision = load_vision_encoder(config.vision)
        lm, tokenizer = load_language_model(config.language)
        fingerprints = {"vision": fingerprint(vision.backbone), "language": fingerprint(lm)}
        return cls(config, vision, LanguageModel(lm, tokenizer), fingerprints)

    @classmethod
    def from_adapters(cls, folder: str | Path) -> "Flamingo":
        """The Flamingo that `save_adapters` saved, with its backbones loaded from where they were.

        Raises ValueError where the folder holds no adapters, or adapters of other backbones or widths.
        """
        saved = read_adapters(Path(folder))
        flamingo = cls.from_backbones(saved.config)
        saved.check_backbones(flamingo.fingerprints)
        flamingo.load_adapter_state_dict(saved.state)
        return flamingo

    def save_adapters(self, folder: str | Path) -> None:
        """Write what is trained, and by name and fingerprint what is not, into a folder of their own."""
        write_adapters(Path(folder), self.config, self.fingerprints, self.adapter_state_dict())

    def see(self, batch: FlamingoBatch, *, vision_calls: int = 1) -> Tensor:
        """The visual tokens of the batch's media: float[media, latents, resampler width]."""
        features = self.vision(batch.pixels, batch.frame_mask, calls=vision_calls)
        return self.resampler(features, batch.frame_mask)

    def forward(self, batch: FlamingoBatch, *, loss: bool = False, vision_calls: int = 1) -> Tensor:
        """Logits float[batch, text, vocabulary]: the frozen head's rows, and more where new ids lie beyond them.

        With `loss`, the sum of -log p over `batch.targets` instead, float32[], for which the logits of all tokens
        never exist at once. The frames go through the vision encoder in `vision_calls` parts; under ZeRO-3 the
        number must be the same on every rank.
        """
        tokens = self.see(batch, vision_calls=vision_calls)
        media = SeenMedia(tokens=tokens, arrangement=self.arrange(batch))
        if loss:
            texts = (batch.input_ids, batch.attention_mask)
            return self.language.loss(*texts, media, batch.targets, document=batch.document)
        logits = self.language(batch.input_ids, batch.attention_mask, media, document=batch.document).logits
        assert logits is not None
        return logits

    def arrange(self, batch: FlamingoBatch) -> Arrangement:
        """Which token looks at which media."""
        if self.config.cross_attention_media == "all":
            return arrange_all(batch.media_index, batch.document)
        return arrange(batch.media_index, len(batch.pixels))

    def checkpoint_activations(self, on: bool = True) -> None:
        """Let the backward compute every layer of the language model anew, so that only their inputs are kept."""
        for layer in self.language.layers():
            layer.checkpointing = on

    @torch.no_grad()
    def generate(self, batch: FlamingoBatch, *, max_new_tokens: int = 64) -> list[str]:
        """The greedy continuation of each prompt, up to `<EOC>` or the end of text.

        Prompts are padded on the left (`model.prompt` makes such batches); labels are not read. Raises
        ValueError where a prompt does not end at the right edge.
        """
        return decode_greedily(self.language, self.see(batch), batch, max_new_tokens)

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that training changes: resampler, gated blocks, new tokens."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def adapter_state_dict(self) -> dict[str, Tensor]:
        """The trained parameters by name, detached. Under ZeRO-3 gather `trained_parameters()` around the call."""
        return {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}

    def load_adapter_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Set the trained parameters. Raises ValueError where names or shapes are not this model's."""
        own = self.adapter_state_dict()
        for name in sorted(own.keys() | state.keys()):
            expected, found = (list(d[name].shape) if name in d else None for d in (own, state))
            if expected != found:
                raise ValueError(
                    f"the adapters hold {name} with shape {found}, and the model has it with shape {expected};"
                    " they were trained with another configuration"
                )
        self.load_state_dict(dict(state), strict=False)


def resampler_shape(config: FlamingoConfig, features_width: int) -> ResamplerShape:
    """The resampler's part of the config."""
    return ResamplerShape(
        features_width=features_width,
        width=config.resampler_width,
        layers=config.resampler_layers,
        heads=config.resampler_heads,
        head_width=config.resampler_head_width,
        latents=config.latents,
        time_embeddings=config.time_embeddings,
        activation=config.activation,
        final_norm=config.resampler_final_norm,
    )


def block_shape(config: FlamingoConfig, text_width: int) -> BlockShape:
    """The gated blocks' part of the config."""
    return BlockShape(
        text_width=text_width,
        media_width=config.resampler_width,
        heads=config.cross_attention_heads,
        head_width=config.cross_attention_head_width,
        activation=config.activation,
        norm_media=config.cross_attention_norm_media,
        gated=config.cross_attention_gates and config.cross_attention == "gated",
        dense=config.cross_attention == "gated",
    )
