"""The videos that a page names, as files: fetched up to a size, sampled up to a length, each a video block of its page.

Players (of YouTube and others) are no files, and stay `not_fetched`.
"""

import asyncio
import math
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from pipeline.door import Door, FetchError
from pipeline.frames import Decoder, SampledVideo, VideoError, available_decoders, sample_video
from pipeline.ledger import Entry
from pipeline.page import Page, VideoReference

MOST_ADDRESSES = 3
"""Of the addresses that a page gives for one video, so many are tried."""
UNDER_WAY = 4
"""Videos that are fetched at once, each held in memory; one of them is decoded, as a task has one core."""


@dataclass(frozen=True, kw_only=True)
class PageVideoConfig:
    """Which videos of pages are kept, and how they are sampled."""

    per_page: int = 5
    """Of the videos of a page, so many are asked for, in its order."""
    most_bytes: int = 50_000_000
    """Largest video, in bytes."""
    most_seconds: float = 300.0
    """Of a longer video the beginning is kept, in seconds."""
    frames_per_second: float = 1.0
    """Frames taken from each second (Flamingo, section 3.1: 1)."""
    short_side: int = 320
    """Frames have at most this many pixels on the shorter side."""
    decoder: Decoder = "pyav"
    """What decodes; decord has to be installed."""
    deadline_seconds: float = 120.0
    """Time that one file may take to decode, in seconds."""
    memory_bytes: int = 2_000_000_000
    """Address space that decoding one file may take, in bytes."""

    def __post_init__(self) -> None:
        for name in ("per_page", "short_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"video.{name} is {getattr(self, name)}; it must be 1 or greater")
        for name in ("most_bytes", "most_seconds", "frames_per_second", "deadline_seconds", "memory_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"video.{name} is {getattr(self, name)}; it must be greater than 0")
        if self.decoder not in available_decoders():
            raise ValueError(f"video.decoder is {self.decoder}; installed here: {', '.join(available_decoders())}")

    def sample(self, path: str) -> SampledVideo:
        """The frames of the file at `path`. Raises VideoError."""
        return sample_video(
            path,
            frames_per_second=self.frames_per_second,
            short_side=self.short_side,
            decoder=self.decoder,
            max_frames=math.ceil(self.most_seconds * self.frames_per_second),
            deadline_seconds=self.deadline_seconds,
            memory_bytes=self.memory_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageVideo:
    """What came of a video that a page names: its frames and where they are from, or why there are none."""

    url: str = ""
    sampled: SampledVideo | None = None
    reason: str = ""


FetchVideo = Callable[[VideoReference], Coroutine[Any, Any, PageVideo]]


def wanted_videos(page: Page, most: int) -> list[VideoReference]:
    """The videos to get for `page`, each once: the first `most` files that it names."""
    references = dict[str, VideoReference]()
    for block in page.blocks:
        if isinstance(block, VideoReference) and block.kind == "video":
            references.setdefault(block.url, block)
    return list(references.values())[:most]


def video_entry(reference: VideoReference, video: PageVideo | None) -> Entry:
    """What became of the video, player or sound at `reference`; None was not asked for."""
    if video is None:
        return Entry(kind=reference.kind, address=reference.url, reason="not_fetched")
    if video.sampled is None:
        return Entry(kind=reference.kind, address=reference.url, reason=video.reason)
    measures = {
        "seconds": video.sampled.duration,
        "frames": float(len(video.sampled.frames)),
        "frames_left_out": float(video.sampled.omitted),
        "truncated": float(video.sampled.truncated),
    }
    return Entry(kind=reference.kind, address=reference.url, measures=measures)


def video_fetcher(door: Door, config: PageVideoConfig) -> FetchVideo:
    """A function that gets a video through `door`; for use on one event loop."""
    room, core = asyncio.Semaphore(UNDER_WAY), asyncio.Semaphore(1)

    async def fetch_first(address: str) -> PageVideo:
        try:
            answer = await door.fetch(address, config.most_bytes)
            async with core:
                return PageVideo(url=address, sampled=await asyncio.to_thread(_sample, answer.data, config))
        except (FetchError, VideoError) as error:
            return PageVideo(reason=error.reason)

    async def fetch(reference: VideoReference) -> PageVideo:
        reason = ""
        for address in (reference.url, *reference.alternatives)[:MOST_ADDRESSES]:
            async with room:
                video = await fetch_first(address)
            if video.sampled:
                return video
            reason = reason or video.reason
        return PageVideo(reason=reason)

    return fetch


def _sample(data: bytes, config: PageVideoConfig) -> SampledVideo:
    """The frames of the video `data`. Raises VideoError."""
    with tempfile.NamedTemporaryFile(prefix="video-") as copy:
        copy.write(data)
        copy.flush()
        return config.sample(copy.name)
