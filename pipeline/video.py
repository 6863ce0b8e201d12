"""Videos and their texts into documents: frames at a fixed rate, each with its time, then what is said of them.

Videos come from a folder with texts beside them, from a list of files or addresses, or from tar files as video2dataset
writes them. Texts without times stand behind the whole video, subtitles each behind its clip.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from jobs.command import InputError, run_command
from jobs.connect import resolve
from pipeline.chunks import Chunk, Work
from pipeline.crawl import in_order, on_a_loop
from pipeline.fetch import FetchConfig
from pipeline.fetching.opt_out import NOBODY, OptOut, read_opt_out
from pipeline.frames import Decoder, available_decoders
from pipeline.gather import finish, open_output, run_chunks, without
from pipeline.ledger import Outcome
from pipeline.network import NetworkConfig, OpenNetwork, closed_network, network_when_needed
from pipeline.summary import print_estimate, print_summary
from pipeline.video_documents import Cutting, Per
from pipeline.video_sources import VideoListing, list_videos, notes_of_chunk, videos_of_chunk
from pipeline.watching import Choice, Sampling, Watcher, Watching
from shards.chunk import Tally
from shards.errors import DatasetError
from shards.location import Location

WINDOW = 2
"""Videos under way at once in a task: while one is decoded, the next is fetched."""
NOT_IN_DOCUMENTS = (
    *("input", "output", "limit", "allow_network", "chunk_seconds", "retry_failed", "fetch"),
    *("deadline_seconds", "memory_bytes", "fetch_bytes", "copy_bytes"),
)
"""Settings that may change from run to run: the documents that stand do not depend on them."""


@dataclass(frozen=True, kw_only=True)
class VideoConfig(NetworkConfig):
    """A run of `pipeline.video`."""

    input: str
    """Folder with videos and their texts beside them (x.mp4 with x.txt, x.json, x.vtt or x.srt), list (CSV, TSV, JSON,
    JSONL, Parquet), or tar files of video2dataset."""
    output: str
    """Folder or address for the dataset."""
    path_col: str = "path"
    """Column of the list with the videos: files, addresses of any `pyarrow.fs`, or http(s)."""
    caption_col: str = "caption"
    """Column of the list with the texts, and their name in JSON files; of a list, empty for none."""
    subtitles_col: str = ""
    """Column of the list with files or addresses of subtitles (WebVTT, SubRip); empty for none."""
    text: Choice = "any"
    """Which text a video gets: subtitles beside it or else a caption, and if there is neither those inside it; captions
    alone; or subtitles alone, beside it or inside."""
    language: str = ""
    """Of several subtitles, those in this language, as their names or the file have it; empty for the first."""
    per: Per = "video"
    """A document for each video, each clip or each cue."""
    clip_seconds: float = 22.0
    """Longest clip, in seconds (what VTP's videos have on average)."""
    frames_per_second: float = 1.0
    """Frames taken from each second (Flamingo, section 3.1: 1)."""
    short_side: int = 320
    """Frames have at most this many pixels on the shorter side."""
    max_frames: int = 7200
    """Most frames of one video; the rest of it is left out, and counted."""
    decoder: Decoder = "pyav"
    """What decodes; decord has to be installed."""
    deadline_seconds: float = 300.0
    """Time that one file may take to decode, in seconds."""
    memory_bytes: int = 2_000_000_000
    """Address space that decoding one file may take, in bytes."""
    fetch_bytes: int = 100_000_000
    """Largest video that is fetched by http, in bytes; it passes through memory."""
    copy_bytes: int = 4_000_000_000
    """Largest remote file that is copied here to be decoded, in bytes."""
    limit: int | None = None
    """Most videos to decode; then an estimate for the whole is printed."""
    chunk_videos: int = 16
    """Videos that are worked on, committed and, after a crash, done again together."""
    chunk_seconds: float = 7200.0
    """What a chunk has asked for and not got after this time, in seconds, is `deferred`: --retry-failed asks again."""
    fetch: FetchConfig = field(default_factory=lambda: FetchConfig(seconds=300.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("short_side", "max_frames", "chunk_videos", "limit"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or greater")
        positive = (
            "frames_per_second",
            "clip_seconds",
            "deadline_seconds",
            "memory_bytes",
            "fetch_bytes",
            "copy_bytes",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be greater than 0")
        if self.decoder not in available_decoders():
            raise ValueError(f"decoder is {self.decoder}; installed here: {', '.join(available_decoders())}")

    @property
    def watching(self) -> Watching:
        return Watching(
            sampling=Sampling(**{name: getattr(self, name) for name in Sampling.__dataclass_fields__}),
            cutting=Cutting(**{name: getattr(self, name) for name in Cutting.__dataclass_fields__}),
            text=self.text,
            language=self.language,
            caption_key=self.caption_col,
            fetch_bytes=self.fetch_bytes,
            copy_bytes=self.copy_bytes,
        )

    def list_videos(self, place: Location) -> VideoListing:
        columns = {name: getattr(self, name) for name in ("path_col", "caption_col", "subtitles_col")}
        return list_videos(place, **columns, limit=self.limit, size=self.chunk_videos)


def run(config: VideoConfig) -> None:
    """Samples the videos, writes the dataset, prints the summary."""
    place = resolve("input", config.input)
    try:
        opt_out = read_opt_out(resolve("opt_out", config.opt_out)) if config.opt_out else NOBODY
    except (ValueError, DatasetError) as error:
        raise InputError(str(error)) from None
    listing = config.list_videos(place)
    output = open_output(config.output, "pipeline.video", without(config, *NOT_IN_DOCUMENTS))
    with network_when_needed(config, output.location) as network:

        def work() -> Work:
            return partial(_gather, config.watching, opt_out, network() if listing.asks_network else closed_network)

        commits = run_chunks(output, listing.chunks, work, config.retry_failed)
    manifest, changed = finish(output, commits)
    print_summary(output, manifest, changed)
    if config.limit and changed:
        print_estimate(output, manifest, min(config.limit, listing.videos), listing.videos, "videos")


def _gather(watching: Watching, opt_out: OptOut, network: OpenNetwork, chunk: Chunk, tally: Tally) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="videos-") as scratch, on_a_loop(network()) as (runner, door):
        tally.notes.extend(notes_of_chunk(chunk))
        watcher = Watcher(watching, door, opt_out, Path(scratch), tally)
        yield from in_order(runner, map(watcher.watch, videos_of_chunk(chunk, Path(scratch))), WINDOW)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(VideoConfig, run, __doc__ or "", argv)


if __name__ == "__main__":
    raise SystemExit(main())
