"""Video files and their texts into video-text documents: frames at a fixed rate, each with its time, then the text."""

import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyarrow import fs

from jobs.command import InputError, run_command
from jobs.connect import resolve
from pipeline.chunks import Chunk, cut
from pipeline.frames import Decoder, SampledVideo, VideoError, available_decoders, sample_video
from pipeline.gather import finish, open_output, run_chunks, without
from pipeline.inputs.lists import read_rows
from pipeline.ledger import Outcome, Record
from pipeline.summary import print_estimate, print_summary
from shards.chunk import Tally
from shards.document import Document, Media, Text, document_key
from shards.location import Location, locate

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".ogv")
MOST_BYTES = 4_000_000_000
"""A larger remote file is not copied here to be decoded."""


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """A run of `pipeline.video`."""

    input: str
    """Folder with videos, each with its text beside it (x.mp4 and x.txt), or a list (CSV, TSV, JSONL, Parquet)."""
    output: str
    """Folder or address for the dataset."""
    path_col: str = "path"
    """Column of the list with the files, local or any `pyarrow.fs` address."""
    caption_col: str = "caption"
    """Column of the list with the texts."""
    frames_per_second: float = 1.0
    """Frames taken from each second (Flamingo, section 3.1: 1)."""
    short_side: int = 320
    """Frames have at most this many pixels on the shorter side."""
    max_frames: int = 600
    """Most frames of one video; the rest of it is left out, and counted."""
    decoder: Decoder = "pyav"
    """What decodes; decord has to be installed."""
    deadline_seconds: float = 120.0
    """Time that one file may take to decode, in seconds."""
    memory_bytes: int = 2_000_000_000
    """Address space that decoding one file may take, in bytes."""
    limit: int | None = None
    """Most videos to decode; then an estimate for the whole is printed."""
    chunk_videos: int = 16
    """Videos that are worked on, committed and, after a crash, done again together."""

    def __post_init__(self) -> None:
        for name in ("short_side", "max_frames", "chunk_videos", "limit"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")
        for name in ("frames_per_second", "deadline_seconds", "memory_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be greater than 0")
        if self.decoder not in available_decoders():
            raise ValueError(f"decoder is {self.decoder}; installed here: {', '.join(available_decoders())}")


def run(config: VideoConfig) -> None:
    """Samples the videos, writes the dataset, prints the summary."""
    videos = _find_videos(resolve("input", config.input), config)
    output = open_output(
        config.output, "pipeline.video", without(config, "input", "output", "limit", "deadline_seconds", "memory_bytes")
    )
    chunks = cut(videos[: config.limit], config.chunk_videos)
    commits = run_chunks(output, chunks, lambda: partial(_gather, config))
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        print_estimate(output, manifest, min(config.limit, len(videos)), len(videos), "videos")


def _find_videos(place: Location, config: VideoConfig) -> list[list[str]]:
    """Files and texts, in a fixed order. Raises InputError if there is no file."""
    if place.filesystem.get_file_info(place.path).type == fs.FileType.Directory:
        videos = _videos_of_folder(place)
    else:
        rows = read_rows(place, [config.path_col, config.caption_col])
        videos = [[row[config.path_col], row[config.caption_col]] for row in rows]
    if not videos:
        raise InputError(f"input {place} holds no video; wanted are files that end in {', '.join(SUFFIXES)}")
    return videos


def _videos_of_folder(folder: Location) -> list[list[str]]:
    names = folder.files()
    texts = {name.removesuffix(".txt") for name in names if name.endswith(".txt")}
    return [
        [str(folder / name), _sidecar(folder, name) if name.rpartition(".")[0] in texts else ""]
        for name in names
        if name.lower().endswith(SUFFIXES)
    ]


def _sidecar(folder: Location, name: str) -> str:
    return (folder / f"{name.rpartition('.')[0]}.txt").read().decode("utf-8", "replace")


def _gather(config: VideoConfig, chunk: Chunk, tally: Tally) -> Iterator[Outcome]:
    for path, caption in chunk.items:
        tally.count("videos_read")
        record = Record(path)
        document = _document(path, " ".join(caption.split()), config, record, tally)
        yield Outcome(record=record, document=document)


def _document(path: str, text: str, config: VideoConfig, record: Record, tally: Tally) -> Document | None:
    if not text:
        record.drop("video", "no_text")
        return None
    try:
        with _local_copy(locate(path)) as local:
            video = _sample(local, config)
    except VideoError as error:
        record.drop("video", error.reason)
        return None
    except OSError:
        record.drop("video", "unreadable")
        return None
    record.keep("video")
    _count(video, tally)
    record.key = document_key("video", path, text)
    media = Media(kind="video", frames=video.frames, url=path)
    return Document(
        key=record.key,
        source=path,
        blocks=(media, Text(text=text, caption=True)),
        measures={"seconds": video.duration},
    )


def _sample(local: str, config: VideoConfig) -> SampledVideo:
    return sample_video(
        local,
        frames_per_second=config.frames_per_second,
        short_side=config.short_side,
        decoder=config.decoder,
        max_frames=config.max_frames,
        deadline_seconds=config.deadline_seconds,
        memory_bytes=config.memory_bytes,
    )


def _count(video: SampledVideo, tally: Tally) -> None:
    tally.count("frames", len(video.frames))
    tally.count("videos_truncated", int(video.truncated))
    tally.count("frames_left_out", video.omitted)


@contextmanager
def _local_copy(video: Location) -> Generator[str]:
    """A local path with the bytes of `video`, for decoders that must seek. Raises OSError if it cannot be had."""
    if video.is_local:
        yield video.path
        return
    with tempfile.NamedTemporaryFile(suffix=Path(video.name).suffix) as copy:
        with video.filesystem.open_input_file(video.path) as remote:
            if remote.size() > MOST_BYTES:
                raise OSError(f"{video} has {remote.size()} bytes, over {MOST_BYTES}")
            shutil.copyfileobj(remote, copy)
        copy.flush()
        yield copy.name


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(VideoConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
