"""Flamingo: a frozen vision encoder and a frozen language model, joined by two trained parts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.adapters import Adapters, fingerprint, read_adapters, write_adapters
from model.arrangement import Arrangement, arrange, arrange_all
from model.attention import FeedForward
from model.batch import FlamingoBatch
from model.config import FlamingoConfig
from model.cross_attention import BlockShape, GatedCrossAttention
from model.generation import Reading, read, score, write
from model.hub import commit
from model.language import END_OF_CHUNK_TOKEN, IMAGE_TOKEN, LanguageModel, load_language_model, token_id
from model.layers import Checkpointing, SeenMedia, decoder_layers, graft
from model.resampler import Resampler, ResamplerShape
from model.resampler_ablations import RESAMPLERS
from model.vision import VisionEncoder, cast_statistics, load_vision_encoder

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
        self.resampler: Resampler = RESAMPLERS[config.resampler](resampler_shape(config, vision.width))
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
        if language.lm.device.type != "meta":  # where nothing has values, nothing can be found out
            language.probe(config.resampler_width)

    @classmethod
    def from_backbones(cls, config: FlamingoConfig) -> "Flamingo":
        """A new Flamingo, its gates shut, drawn from torch's global random state.

        Raises ValueError where a backbone cannot be loaded or lacks what Flamingo needs.
        """
        config = replace(
            config,
            vision_revision=commit(config.vision, config.vision_revision),
            language_revision=commit(config.language, config.language_revision),
        )
        vision = load_vision_encoder(
            config.vision,
            revision=config.vision_revision,
            class_token=config.vision_class_token,
            image_size=config.image_size,
            frozen=config.vision_frozen,
        )
        lm, tokenizer = load_language_model(config.language, revision=config.language_revision)
        fingerprints = {"vision": fingerprint(vision.backbone), "language": fingerprint(lm)}
        return cls(config, vision, LanguageModel(lm, tokenizer), fingerprints)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Flamingo":
        """The Flamingo that `save_pretrained` saved, with its backbones loaded from where they were.

        Raises ValueError where the folder holds no adapters, or adapters of other backbones or widths.
        """
        saved = read_adapters(Path(folder))
        flamingo = cls.from_backbones(saved.config)
        saved.check_backbones(flamingo.fingerprints)
        flamingo.load_adapter_state_dict(saved.state)
        return flamingo

    def begin_from(self, saved: Adapters) -> None:
        """Set what is trained to what was trained before, to go on from there, say with a backbone unfrozen.

        A backbone that was frozen then, and is trained now, stays as it was loaded. Raises ValueError where the
        adapters are those of another model.
        """
        saved.check_backbones(self.fingerprints)
        saved.check_config(self.config)
        own, config = self.adapter_state_dict(), self.config
        thawed = {
            "vision": saved.config.vision_frozen and not config.vision_frozen,
            "language": saved.config.language_frozen and not config.language_frozen,
        }
        as_loaded = {name: value for name, value in own.items() if thawed.get(name.partition(".")[0])}
        self.load_adapter_state_dict({**as_loaded, **saved.state})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write what is trained, and by name and fingerprint what is not, into a folder of their own."""
        write_adapters(Path(folder), self.config, self.fingerprints, self.adapter_state_dict())

    def see(self, batch: FlamingoBatch, *, vision_calls: int = 1) -> Tensor:
        """The visual tokens of the batch's media: float[media, latents, resampler width]."""
        features = batch.features
        if features is None:
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
        if self.sees_all_media:
            return arrange_all(batch.media_index, batch.document)
        return arrange(batch.media_index, len(batch.pixels))

    def checkpoint_activations(self, what: Checkpointing) -> None:
        """Let the backward compute layers anew, so that of them only what went in is kept."""
        for layer in self.language.layers():
            layer.checkpointing = what
        self.resampler.checkpoints = what in ("adapters", "all")
        for module in self.modules():
            if isinstance(module, FeedForward):
                module.checkpoints = what == "feed_forwards"

    @torch.no_grad()
    def read(self, batch: FlamingoBatch, past: Reading | None = None) -> Reading:
        """Read prompts, padded on the left, behind what was read before: a turn of a conversation, with its media.

        Media of the batch are numbered from 0; tokens of a turn that see none of them see the last of the turns
        before. Raises ValueError where a prompt does not end at the right edge, and where image tokens and images
        do not match in number.
        """
        self.check_image_tokens(batch)
        return read(self.language, self.see(batch), batch, past, all_media=self.sees_all_media)

    def generate(self, batch: FlamingoBatch | Reading, *, max_new_tokens: int = 64, **options: Any) -> list[str]:
        """The continuation of each prompt, up to `<EOC>` or the end of text; greedy, unless options of Hugging
        Face's `generate` (num_beams, do_sample, top_p, ...) ask for another.

        Prompts are padded on the left (`model.prompt` makes such batches), or were read before; labels are not
        read. Raises ValueError as `read` does.
        """
        reading = batch if isinstance(batch, Reading) else self.read(batch)
        return write(
            self.language, reading, max_new_tokens=max_new_tokens, all_media=self.sees_all_media, options=options
        )

    def log_likelihood(self, batch: FlamingoBatch | Reading, options: Sequence[str]) -> Tensor:
        """log p(option | prompt) of each option behind each prompt: float32[batch, options].

        A prompt is read once for all its options. Raises ValueError as `read` does, and on an option of no tokens.
        """
        reading = batch if isinstance(batch, Reading) else self.read(batch)
        tokens = [self.tokenizer.encode(option, add_special_tokens=False) for option in options]
        if not all(tokens):
            raise ValueError(f"an option has no tokens: {list(options)}")
        return score(self.language, reading, tokens, all_media=self.sees_all_media)

    @property
    def sees_all_media(self) -> bool:
        """Whether a token attends to all images of its document so far."""
        return self.config.cross_attention_media == "all"

    def check_image_tokens(self, batch: FlamingoBatch) -> None:
        """Raise ValueError where a document has other numbers of `<image>` tokens and of media that it sees."""
        tokens = (batch.input_ids == self.image_token_id).sum(dim=1).tolist()
        for number, (marks, index) in enumerate(zip(tokens, batch.media_index, strict=True)):
            media = len(index[index >= 0].unique())
            if marks != media:
                raise ValueError(
                    f"document {number} of the batch has {marks} {IMAGE_TOKEN} tokens and {media} images; the"
                    " numbers must be equal"
                )

    def freeze_in(self, dtype: torch.dtype) -> None:
        """Keep what is frozen in another precision, say bfloat16, and what is trained as it is.

        Run such a model under `torch.autocast`, which casts the trained weights where they are used.
        """
        for parameter in self.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(dtype)
        cast_statistics(self, dtype)
        if dtype.itemsize < 4 and self.language.lm.device.type == "cpu":
            self.language.lm.set_attn_implementation("eager")  # as `model.attention.written_out`

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
