"""One side of `benchmarks.model` in a process of its own: the seconds of its training steps, and its peak of memory.

    python -m benchmarks.model_sides ours fp32 3        # or masked, or open_flamingo with OPEN_FLAMINGO set

Shapes of OPT-125M and CLIP ViT-B/32 with random weights, blocks before every layer, two windows of 256 tokens with five
images each. Every side has the same texts, images, masks and learning rate.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

from model.arrangement import arrange_all
from model.batch import FlamingoBatch
from model.flamingo import Flamingo
from model.language import LanguageModel
from model.presets import OPEN_FLAMINGO
from model.vision import VisionEncoder
from training.heap import trim_heap
from training.optimizer import make_moments

ROWS, TOKENS, IMAGES, SIZE = 2, 256, 5, 224
WORDS = 50265
LEARNING_RATE = 1e-4
TRIMMED_EVERY = 64_000_000
"""Bytes of gradients between which freed memory goes back to the system, as `trim_heap: 64` has it in training."""
EVEN = (0.5, 0.5, 0.5)
Step = Callable[[], float]


def tokenizer() -> PreTrainedTokenizerFast:
    """As many tokens as OPT's has; none of them is read."""
    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(WORDS)}, unk_token="w3"))
    special = {"pad_token": "w1", "bos_token": "w2", "eos_token": "w2", "unk_token": "w3"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


def texts(image: int) -> Tensor:
    """int64[rows, tokens] with an image token every fifty."""
    ids = torch.randint(5, 50_000, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))
    ids[:, 1 : 1 + 50 * IMAGES : 50] = image
    return ids


def our_model() -> Flamingo:
    """OpenFlamingo's layout at this shape."""
    config = replace(OPEN_FLAMINGO, resampler_width=768)
    vision = VisionEncoder(CLIPVisionModel(CLIPVisionConfig()), size=SIZE, mean=EVEN, std=EVEN, class_token=False)
    return Flamingo(config, vision, LanguageModel(OPTForCausalLM(OPTConfig()), tokenizer()), {})


def our_batch(flamingo: Flamingo) -> FlamingoBatch:
    """The texts, each token seeing the last image before it."""
    ids = texts(flamingo.image_token_id)
    image = ids == flamingo.image_token_id
    first = torch.arange(ROWS)[:, None] * IMAGES
    seen = image.cumsum(dim=1) - 1
    media = ROWS * IMAGES
    return FlamingoBatch(
        input_ids=ids,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        media_index=torch.where(seen < 0, -1, seen + first),
        pixels=torch.randint(0, 256, (media, 1, 3, SIZE, SIZE), dtype=torch.uint8),
        frame_mask=torch.ones(media, 1, dtype=torch.bool),
        labels=torch.where(image, -100, ids),
    )


def our_step(precision: str, *, masked: bool) -> tuple[Step, int]:
    """A training step of this model, and its trained parameters outside the tables of new tokens.

    In bf16 frozen weights are bf16 and trained ones fp32; in fp32, whose memory is compared, the heap is trimmed.
    `masked` attends to all images of a row by a mask.
    """
    flamingo = our_model().train()
    flamingo.checkpoint_activations("feed_forwards")
    if masked:
        setattr(flamingo, "arrange", lambda batch: arrange_all(batch.media_index, None, last_alone=True))  # noqa: B010
    if precision == "bf16":
        flamingo.freeze_in(torch.bfloat16)
    else:
        trim_heap(flamingo.trained_parameters(), every=TRIMMED_EVERY)
    optimizer = torch.optim.AdamW(flamingo.trained_parameters(), lr=LEARNING_RATE, fused=True)
    make_moments(optimizer, flamingo.trained_parameters())  # as training does
    batch = our_batch(flamingo)
    count = int((batch.targets != -100).sum())

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = flamingo(batch, loss=True) / count
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    trained = flamingo.adapter_state_dict()
    return step, sum(value.numel() for name, value in trained.items() if not name.endswith((".new", ".new.weight")))


class _Visual(nn.Module):
    """CLIP as OpenFlamingo calls it: (pooled, patches)."""

    def __init__(self) -> None:
        super().__init__()
        self.model = CLIPVisionModel(CLIPVisionConfig())

    def forward(self, pixels: Tensor) -> tuple[None, Tensor]:
        return None, self.model(pixel_values=pixels).last_hidden_state[:, 1:]


def open_flamingo_step(precision: str) -> tuple[Step, int]:
    """A training step of OpenFlamingo's own code, from the folder that OPEN_FLAMINGO names, as its trainer makes it."""
    sys.path.insert(0, str(Path(os.environ["OPEN_FLAMINGO"]) / "open_flamingo"))
    from src.flamingo import Flamingo as OpenFlamingo  # pyright: ignore[reportMissingImports]
    from src.flamingo_lm import FlamingoLMMixin  # pyright: ignore[reportMissingImports]
    from src.utils import extend_instance  # pyright: ignore[reportMissingImports]

    lm: Any = OPTForCausalLM(OPTConfig())
    extend_instance(lm, FlamingoLMMixin)
    lm.set_decoder_layers_attr_name("model.decoder.layers")
    lm.resize_token_embeddings(WORDS + 2)
    vision = nn.Module()
    vision.visual = _Visual()
    model = OpenFlamingo(vision, lm, WORDS, WORDS + 1, vis_dim=768, cross_attn_every_n_layers=1)
    model.requires_grad_(False)
    for part in (model.perceiver, lm.gated_cross_attn_layers, lm.get_input_embeddings()):
        part.requires_grad_(True)
    model.train()
    model.tokenizer = tokenizer()  # which its trainer holds for its documents, and takes 20 MB
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)
    ids = texts(WORDS + 1)
    labels = torch.where(ids == WORDS + 1, -100, ids)
    images = torch.randn(ROWS, IMAGES, 1, 3, SIZE, SIZE)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(images, ids, torch.ones_like(ids), labels=labels)[0]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    trained = [*model.perceiver.parameters(), *lm.gated_cross_attn_layers.parameters()]
    return step, sum(parameter.numel() for parameter in trained)


def measure(side: str, precision: str, steps: int) -> dict[str, float]:
    """Seconds and CPU-seconds of the steps after the first, the least of each, and the peak of memory in GB."""
    torch.manual_seed(0)
    step, trained = open_flamingo_step(precision) if side == "open_flamingo" else our_step(
        precision, masked=side == "masked"
    )  # fmt: skip
    step()
    seconds, cpu = list[float](), list[float]()
    for _ in range(steps):
        before, cpu_before = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - before)
        cpu.append(time.process_time() - cpu_before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": min(seconds), "cpu_seconds": min(cpu), "gigabytes": peak, "trained": trained}


def generation_speed(*, cached: bool, shots: int = 8, new_tokens: int = 16) -> dict[str, float]:
    """Tokens a second behind eight examples, with what was read kept, or with everything read for each token."""
    torch.manual_seed(0)
    flamingo = our_model()
    ids = torch.randint(5, 50_000, (1, 32 * shots))
    ids[:, ::32] = flamingo.image_token_id
    seen = (ids == flamingo.image_token_id).cumsum(dim=1) - 1
    ones = torch.ones_like(ids, dtype=torch.bool)
    pixels = torch.zeros(shots, 1, 3, SIZE, SIZE, dtype=torch.uint8)
    frames = torch.ones(shots, 1, dtype=torch.bool)
    batch = FlamingoBatch(
        input_ids=ids, attention_mask=ones, media_index=seen, pixels=pixels, frame_mask=frames, labels=ids
    )
    before = time.perf_counter()
    if cached:
        flamingo.generate(batch, max_new_tokens=new_tokens, min_new_tokens=new_tokens)
    else:
        with torch.no_grad():
            for _ in range(new_tokens):
                flamingo(batch)
    return {"tokens_per_second": new_tokens / (time.perf_counter() - before)}


if __name__ == "__main__":
    which, how, number = sys.argv[1:]
    if which == "generation":
        print(json.dumps(generation_speed(cached=how == "cached")))
    else:
        print(json.dumps(measure(which, how, int(number))))
