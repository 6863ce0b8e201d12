"""Floating-point operations of an update: rehearsals of small batches tell what a token, a picture and so on take.

What autograd need not compute is not counted: a frozen vision encoder has no backward, and a frozen matrix hands
down the gradient of what went in, but has none of its own. Attention counts as if each token of a text attended to
all of it, and what checkpointing computes anew is not counted, as is usual (PaLM, arXiv 2204.02311, appendix B).
"""

from dataclasses import astuple, dataclass, replace
from operator import mul

from model.flamingo import Flamingo
from training.rehearsal import Shape, count_rehearsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a batch asks for, without its padding."""

    tokens: float
    """Of text."""
    squares: float
    """The square of each text's tokens, summed: what self-attention grows with."""
    targets: float
    """Tokens that are predicted."""
    media: float
    """Images and videos."""
    frames: float
    """Pictures, of images and videos together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Multiplications and additions of forward and backward, by what they grow with, in the order of `Work`."""

    token: float
    square: float
    target: float
    medium: float
    frame: float

    def of(self, work: Work) -> float:
        """Of a batch, or of several together."""
        return sum(map(mul, astuple(self), astuple(work)))


def count_operations(skeleton: Flamingo) -> Operations:
    """By differences between batches that differ in one thing, which are exact: each count is a sum of products."""
    skeleton.checkpoint_activations("none")
    text, longer = 16, 32
    smallest = Shape(rows=1, text=text, targets=1, media=1, frames=1, longest=text)
    first = count_rehearsed(skeleton, smallest)
    target = count_rehearsed(skeleton, replace(smallest, targets=2)) - first
    frame = count_rehearsed(skeleton, replace(smallest, frames=2)) - first
    medium = count_rehearsed(skeleton, replace(smallest, media=2, longest=text // 2)) - first - frame
    row = first - target - frame - medium
    longer_row = count_rehearsed(skeleton, replace(smallest, text=longer, longest=longer)) - first + row
    square = (longer_row / longer - row / text) / (longer - text)
    return Operations(token=row / text - square * text, square=square, target=target, medium=medium, frame=frame)
