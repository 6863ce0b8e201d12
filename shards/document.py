"""What a document is: a key, a source, and an ordered list of blocks of text and media.

A web page is text and images in the order of its DOM, an image-text pair is `[image, text]`, a video-text
pair is `[video, text]`. This file declares the record once; `shards.schema` says how it lies in JSON.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

ImageFormat = Literal["jpg", "png", "webp"]
MediaKind = Literal["image", "video"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A run of text: one or more paragraphs, separated by blank lines."""

    text: str
    caption: bool = False
    """The page marks this text as the caption of the medium that it stands beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One encoded picture."""

    data: bytes
    format: ImageFormat
    width: int
    height: int
    seconds: float = 0.0
    """When the frame is shown, in seconds from the start of its video; 0 for an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An image (one frame) or a video (frames in order of time)."""

    kind: MediaKind
    frames: tuple[Frame, ...]
    url: str = ""
    """Where its bytes came from."""
    alt: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        if not self.frames or (self.kind == "image" and len(self.frames) != 1):
            wanted = "exactly 1 frame" if self.kind == "image" else "at least 1 frame"
            raise ValueError(f"{self.kind} {self.url!r} has {len(self.frames)} frames; it needs {wanted}")


Block = Text | Media


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One sample of a dataset."""

    key: str
    """Its name in the shard: 32 hexadecimal characters, see `document_key`."""
    source: str
    """The address or file that it was made from."""
    blocks: tuple[Block, ...]
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What the source says of itself: title, language, licence, policy."""
    measures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Every measure that a rule took, by the rule's name, also of rules that dropped nothing."""

    @property
    def texts(self) -> tuple[Text, ...]:
        return tuple(block for block in self.blocks if isinstance(block, Text))

    @property
    def media(self) -> tuple[Media, ...]:
        return tuple(block for block in self.blocks if isinstance(block, Media))


def document_key(*parts: str) -> str:
    """A key that depends on `parts` alone: the first 128 bits of their SHA-256, as 32 hexadecimal characters."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
