"""One video of the input to its documents: its texts are read, its bytes fetched, its frames sampled, then it is cut.

texts beside it ─► caption or cues ─► bytes in a local file ─► cues inside it, if asked ─► frames ─► documents
                   nothing to say?    (fetched, copied, or      (child process)          (child process)
                   not fetched        as they lie)
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline.addresses import canonical
from pipeline.door import Door, FetchError
from pipeline.fetching.opt_out import OptOut
from pipeline.frames import Decoder, SampledVideo, VideoError, sample_video
from pipeline.inputs.captions import MOST_BYTES
from pipeline.inputs.embedded import read_embedded
from pipeline.inputs.video_sets import Video
from pipeline.inputs.video_texts import Said, read_texts
from pipeline.ledger import Outcome, Record
from pipeline.video_documents import Cutting, Spoken, make_documents
from shards.chunk import Tally
from shards.document import Document
from shards.errors import DatasetError
from shards.location import Location, locate

Choice = Literal["any", "caption", "subtitles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How frames are taken; `pipeline.frames.sample_video` tells more."""

    frames_per_second: float
    short_side: int
    decoder: Decoder
    max_frames: int
    deadline_seconds: float
    memory_bytes: int

    def sample(self, path: str) -> SampledVideo:
        """The frames of the file at `path`. Raises VideoError, and OSError if it cannot be read."""
        return sample_video(path, **{name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What is done with each video; the fields are those of `pipeline.video.VideoConfig`."""

    sampling: Sampling
    cutting: Cutting
    text: Choice
    language: str
    caption_key: str
    fetch_bytes: int
    copy_bytes: int


class Unusable(Exception):
    """A video that gives no document; `reason` is a word to count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Watcher:
    """Works on the videos of one chunk, on one event loop; one of them is decoded at a time, as a task has one core."""

    def __init__(self, watching: Watching, door: Door, opt_out: OptOut, scratch: Path, tally: Tally) -> None:
        self._watching = watching
        self._door = door
        self._opt_out = opt_out
        self._scratch = scratch
        self._tally = tally
        self._core = asyncio.Semaphore(1)

    async def watch(self, video: Video) -> Outcome:
        """What comes of `video`."""
        self._tally.count("videos_read")
        record = Record(video.name)
        try:
            spoken = await self._read_texts(video, record)
            async with self._local(video) as path, self._core:
                documents = await asyncio.to_thread(self._make_documents, path, spoken, record)
        except (Unusable, FetchError, VideoError) as error:
            record.drop("video", error.reason)
            return Outcome(record=record)
        except (OSError, DatasetError):
            record.drop("video", "unreadable")
            return Outcome(record=record)
        return Outcome(record=record, document=next(iter(documents), None), more=tuple(documents[1:]))

    async def _read_texts(self, video: Video, record: Record) -> Spoken:
        """What is said beside the video, as the config chooses from it. Raises Unusable."""
        texts = dict(video.texts)
        for suffix, path in video.sidecars.items():
            try:
                texts[suffix] = await self._bytes_of_text(path)
            except FetchError as error:
                record.drop("caption", error.reason, path)
            except (OSError, DatasetError):
                record.drop("caption", "unreadable", path)
        said = read_texts(texts, self._watching.caption_key, self._watching.language)
        self._check(video, said)
        chosen = self._watching.text
        return Spoken(
            source=video.name,
            cues=() if chosen == "caption" else said.cues,
            caption="" if chosen == "subtitles" else " ".join(video.caption.split()) or said.caption,
            facts=said.facts | ({"url": said.url} if said.url else {}),
        )

    def _check(self, video: Video, said: Said) -> None:
        if self._opt_out.refuses(said.url or video.name):  # what others fetched stands under it as well
            raise Unusable("opted_out")
        if video.copy == "":
            raise Unusable("not_downloaded" if said.failed else "not_in_tar")

    async def _bytes_of_text(self, path: str) -> bytes:
        if address := canonical(path):
            return (await self._door.fetch(address, MOST_BYTES)).data
        return await asyncio.to_thread(_beginning, locate(path))

    @asynccontextmanager
    async def _local(self, video: Video) -> AsyncGenerator[str]:
        """A local path with the bytes of `video`. Raises FetchError, Unusable, and OSError if they cannot be had."""
        if video.copy is not None:
            try:
                yield video.copy
            finally:
                Path(video.copy).unlink()
            return
        address = canonical(video.name)
        place = None if address else locate(video.name)
        if place and place.is_local:
            yield place.path
            return
        with tempfile.NamedTemporaryFile(dir=self._scratch) as copy:
            if address:
                copy.write((await self._door.fetch(address, self._watching.fetch_bytes)).data)
            elif place:
                await asyncio.to_thread(_copy, place, copy, self._watching.copy_bytes)
            copy.flush()
            yield copy.name

    def _make_documents(self, path: str, spoken: Spoken, record: Record) -> list[Document]:
        """Raises VideoError, Unusable, and OSError if the file cannot be read."""
        spoken = self._with_embedded(path, spoken)
        if not (spoken.cues or spoken.caption):
            raise Unusable("no_text")
        video = self._watching.sampling.sample(path)
        self._tally.count("videos_truncated", int(video.truncated))
        self._tally.count("frames_left_out", video.omitted)
        documents = make_documents(video, spoken, self._watching.cutting, record)
        self._tally.count("frames", sum(len(media.frames) for each in documents for media in each.media))
        return documents

    def _with_embedded(self, path: str, spoken: Spoken) -> Spoken:
        """`spoken`, with the subtitles inside the file if there is nothing beside it. Raises Unusable."""
        if spoken.cues or spoken.caption or self._watching.text == "caption":
            return spoken
        sampling = self._watching.sampling
        embedded = read_embedded(
            path,
            language=self._watching.language,
            deadline_seconds=sampling.deadline_seconds,
            memory_bytes=sampling.memory_bytes,
        )
        if embedded.reason:
            unasked = self._watching.text == "any" and embedded.reason in ("no_subtitles", "not_a_video")
            raise Unusable("no_text" if unasked else embedded.reason)
        facts = {**spoken.facts, "language": embedded.language} if embedded.language else spoken.facts
        return replace(spoken, cues=embedded.cues, facts=facts)


def _beginning(place: Location) -> bytes:
    with place.filesystem.open_input_stream(place.path, compression=None) as stream:
        return stream.read(MOST_BYTES)


def _copy(place: Location, copy: "tempfile._TemporaryFileWrapper[bytes]", most_bytes: int) -> None:
    with place.filesystem.open_input_file(place.path) as remote:
        if remote.size() > most_bytes:
            raise Unusable("too_large")
        shutil.copyfileobj(remote, copy)
