"""What `pipeline.frames` and its child `python -m pipeline.decoding` say to each other.

The request is one argument, JSON. The answer on standard output is one line of JSON, then the JPEG bytes of the
pictures end to end; nothing is unpickled. A refusal is one line:

    {"duration": 7.8, "omitted": 0, "broken": "", "pictures": [{"bytes": 9120, "width": 427, ...}, ...]}
    {"reason": "no_frames", "sentence": "no frame could be decoded"}
"""

import json
from dataclasses import asdict, dataclass
from typing import IO, Literal, Self, get_args

Decoder = Literal["pyav", "decord"]

Reason = Literal[
    "not_a_video",  # its first bytes are of no container in the allow-list
    "damaged_container",  # the container's own demuxer cannot open it
    "no_video_stream",  # sound alone, or sound with a cover picture
    "unknown_codec",
    "no_frames",  # not one frame could be decoded
    "decoder_crashed",  # a signal or an exception ended the child
    "deadline",
    "too_much_memory",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class VideoError(ValueError):
    """A file that gives no frames."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(reason, sentence)  # both, so that it pickles: Ray carries it between processes
        self.reason: Reason = reason
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRequest:
    """What any child is told that opens a file; it travels as JSON."""

    path: str
    container: str
    """FFmpeg's name of the only demuxer that may open the file."""
    deadline_seconds: float
    memory_bytes: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(ChildRequest):
    """The arguments of `pipeline.frames.sample_video`."""

    decoder: Decoder
    frames_per_second: float
    short_side: int
    max_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is shown at one instant."""

    jpeg: bytes
    width: int
    height: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A sampled video, as `pipeline.frames.SampledVideo` describes it."""

    pictures: tuple[Picture, ...]
    duration: float
    omitted: int
    broken: str
    """Why reading ended before the end of the file; empty if it did not."""


def write_answer(stream: IO[bytes], answer: Answer) -> None:
    pictures = [
        {"bytes": len(p.jpeg), "width": p.width, "height": p.height, "seconds": p.seconds} for p in answer.pictures
    ]
    header = {"duration": answer.duration, "omitted": answer.omitted, "broken": answer.broken}
    stream.write(json.dumps(header | {"pictures": pictures}).encode() + b"\n")
    stream.writelines(picture.jpeg for picture in answer.pictures)


def write_refusal(stream: IO[bytes], error: VideoError) -> None:
    stream.write(json.dumps({"reason": error.reason, "sentence": error.sentence}).encode() + b"\n")


def read_answer(said: bytes) -> Answer:
    """Raises VideoError if the child refused the file, and ValueError, KeyError or TypeError if `said` is no answer."""
    line, _, body = said.partition(b"\n")
    header = json.loads(line)
    if "reason" in header:
        raise VideoError(header["reason"], header["sentence"])
    sizes = [entry["bytes"] for entry in header["pictures"]]
    if sum(sizes) != len(body):
        raise ValueError(f"the answer holds {len(body)} bytes of pictures; its header says {sum(sizes)}")
    pictures: list[Picture] = []
    offset = 0
    for entry, size in zip(header["pictures"], sizes, strict=True):
        jpeg = body[offset : offset + size]
        pictures.append(Picture(jpeg=jpeg, width=entry["width"], height=entry["height"], seconds=entry["seconds"]))
        offset += size
    return Answer(
        pictures=tuple(pictures),
        duration=header["duration"],
        omitted=header["omitted"],
        broken=header["broken"],
    )
