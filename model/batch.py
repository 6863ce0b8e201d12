"""What goes into a Flamingo: texts, the media they are interleaved with, and which token sees which."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

IGNORED = -100
"""The label of a token that is not trained on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlamingoBatch:
    """A batch of interleaved documents. The media of all documents lie in one flat list.

    There is at least one medium: a batch without any carries a dummy that no token points to, so that every
    rank of a sharded run makes the same calls.
    """

    input_ids: Tensor
    """int64[batch, text]: text with `<image>` and `<EOC>` tokens, padded."""

    attention_mask: Tensor
    """bool[batch, text]: True where a token is."""

    media_index: Tensor
    """int64[batch, text]: row of `pixels` that the token attends to (phi), -1 for none."""

    pixels: Tensor
    """uint8[media, time, 3, height, width]: an image has one frame."""

    frame_mask: Tensor
    """bool[media, time]: True for the frames of a medium, which come first; False for padding after them."""

    labels: Tensor
    """int64[batch, text]: the token itself where it is trained on, -100 elsewhere."""

    document: Tensor | None = None
    """int64[batch, text]: which of the documents packed into its row a token belongs to, in runs; -1 for padding.

    None where each row is one document. A token attends to its own document alone, positions start anew with
    each, and the first token of a document is never predicted from the last of the one before. `media_index`
    must point to media of the token's own document. Example of two documents: [[0, 0, 0, 1, 1, -1]].
    """

    features: Tensor | None = None
    """float[media, time, space, width]: what the vision encoder makes of the pixels, where that was computed before;
    zero for padding. The pixels are then not looked at, and may have a height and width of 0."""

    def __post_init__(self) -> None:
        for name in ("attention_mask", "media_index", "labels", "document"):
            if getattr(self, name) is not None:
                self.expect(name, self.input_ids.shape)
        self.expect("frame_mask", self.pixels.shape[:2])
        if self.features is not None and self.features.shape[:2] != self.frame_mask.shape:
            raise ValueError(
                f"features has shape {list(self.features.shape)}, and must begin with {list(self.frame_mask.shape)}"
            )
        if self.pixels.ndim != 5 or self.pixels.shape[0] < 1:
            raise ValueError(
                f"pixels has shape {list(self.pixels.shape)}, and must be [media, time, 3, height, width] with at"
                " least one medium; a batch without images carries a dummy that no token points to"
            )

        if self.input_ids.device.type == "cpu":
            self.check_values()

    def check_values(self) -> None:
        """Raise ValueError on media without frames and on tokens that see media which are not there."""
        empty = (~self.frame_mask.any(dim=1)).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f"medium {empty[0]} has no frames; frame_mask must hold one at least")
        highest = int(self.media_index.max())
        if highest >= len(self.pixels):
            raise ValueError(f"media_index points to medium {highest}, and there are {len(self.pixels)}")

    def expect(self, name: str, shape: torch.Size) -> None:
        """Raise ValueError where the tensor has another shape than its neighbour."""
        actual = getattr(self, name).shape
        if actual != shape:
            raise ValueError(f"{name} has shape {list(actual)}, and must be {list(shape)}")

    @property
    def targets(self) -> Tensor:
        """int64[batch, text - 1]: what the logits at each token but the last are scored on, -100 for nothing."""
        targets = self.labels[:, 1:]
        if self.document is None:
            return targets
        return targets.masked_fill(self.document[:, 1:] != self.document[:, :-1], IGNORED)

    def to(self, device: torch.device | str) -> "FlamingoBatch":
        """The same batch on another device; from pinned memory the copies do not hold the caller up."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: value.to(device, non_blocking=True) for name, value in tensors.items() if value is not None}
        )
