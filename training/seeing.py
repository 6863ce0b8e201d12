"""The vision encoder by itself, as it computes features ahead: what they depend on, and an actor that makes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from jobs.command import InputError
from model.adapters import fingerprint
from model.vision import VisionEncoder, load_vision_encoder
from shards.dataset import Dataset
from shards.document import Frame
from shards.errors import DatasetError, NoRoomError
from shards.shard import ShardRecord
from training.config import TrainingConfig
from training.data.appearance import UNCHANGED
from training.data.features import FLAWS, Eye, Features, written_features
from training.data.pictures import BadMedia, Canvas, draw

FRAMES = 64
"""That the encoder looks at at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A shard of a dataset whose pictures are to be looked at."""

    dataset: Dataset
    shard: ShardRecord
    features: Features


class VisionActor:
    """An encoder that goes from shard to shard."""

    def __init__(self, config: TrainingConfig, works: Sequence[Work]) -> None:
        self._works, self._device = works, torch.device("cuda" if config.gpu else "cpu")
        encoder, self._eye = load_eye(config)
        dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
        self._encoder = encoder.to(device=self._device, dtype=dtype)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Writes the features of one shard. `frames` of the answer is how many there are, and `failure` why there are
        none: Ray Data wraps what is raised in so much that the cause is lost.
        """
        work = self._works[row["id"]]
        if self._eye.key != work.features.folder.name:
            failure = (
                "a worker has loaded another vision encoder than the driver; make its folder the same on every node"
            )
            return {"frames": 0, "failure": f"{failure}, or name a commit of the hub in model.vision_revision"}
        frames = work.dataset.index_of(work.shard, ["frames"]).column("frames").to_numpy().astype(np.int64)
        offsets, _ = work.dataset.shard_rows(work.shard.name)
        try:
            with (
                work.features.file_of(work.shard.name).written_whole() as path,
                written_features(path, work.shard, offsets, frames, work.features) as add,
            ):
                for batch in _batches(work.dataset, work.shard.name):
                    add(*self._look(batch))
        except (DatasetError, NoRoomError) as error:
            return {"frames": 0, "failure": f"features of shard {work.shard.name} cannot be computed: {error}"}
        return {"frames": int(frames.sum()), "failure": ""}

    @torch.no_grad()
    def _look(self, frames: Sequence[Frame]) -> tuple[bytes, list[int]]:
        """The features of the frames, and the number of each one's flaw."""
        canvas = self._eye.canvas
        squares = np.zeros((len(frames), canvas.size, canvas.size, 3), dtype=np.uint8)
        flaws = [_draw(frame, canvas, square) for frame, square in zip(frames, squares, strict=True)]
        pixels = torch.from_numpy(squares).permute(0, 3, 1, 2).to(self._device)
        features = self._encoder.encode(pixels)
        features[torch.tensor(flaws, device=self._device) > 0] = 0
        return features.contiguous().cpu().view(torch.uint8).numpy().tobytes(), flaws


def load_eye(config: TrainingConfig) -> tuple[VisionEncoder, Eye]:
    """The config's vision encoder, and what its features depend on. Raises InputError if it cannot be loaded."""
    model = config.model
    try:
        encoder = load_vision_encoder(
            model.vision,
            revision=model.vision_revision,
            class_token=model.vision_class_token,
            image_size=model.image_size,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    return encoder, eye_of(encoder, fingerprint(encoder.backbone), config)


def eye_of(encoder: VisionEncoder, weights: str, config: TrainingConfig) -> Eye:
    """What features depend on; `weights` is the fingerprint of the encoder's."""
    return Eye(
        fingerprint=weights,
        class_token=config.model.vision_class_token,
        canvas=Canvas(size=encoder.size, mean=encoder.mean),
        deviation=encoder.std,
        dtype="BF16" if config.precision == "bf16" else "F32",
    )


@torch.no_grad()
def count_features(encoder: VisionEncoder) -> tuple[int, int]:
    """How many features a picture has, and of how many numbers each is."""
    _, space, width = encoder.encode(torch.zeros(1, 3, encoder.size, encoder.size, dtype=torch.uint8)).shape
    return space, width


def _batches(dataset: Dataset, shard: str) -> Iterator[list[Frame]]:
    """The frames of a shard's documents, in order, `FRAMES` at a time."""
    held = list[Frame]()
    for document in dataset.shard_documents(shard):
        held += [frame for medium in document.media for frame in medium.frames]
        while len(held) >= FRAMES:
            yield held[:FRAMES]
            held = held[FRAMES:]
    if held:
        yield held


def _draw(frame: Frame, canvas: Canvas, square: Any) -> int:
    """Fills the square; returns the number of what is wrong with the picture, 0 for nothing."""
    try:
        draw(frame, canvas, UNCHANGED, square)
    except BadMedia as flaw:
        return FLAWS.index(str(flaw))
    return 0
