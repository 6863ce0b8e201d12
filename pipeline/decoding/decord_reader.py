"""Reading with decord, which seeks by key frames to the frames that are shown at an instant."""

from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any

import av
import decord
from av.container import InputContainer
from PIL import Image

from pipeline.decoding.picture import fitted_size
from pipeline.decoding.pyav_reader import PyAVReader
from pipeline.decoding.reader import Break, Reader
from pipeline.decoding.scaling import HDR
from pipeline.decoding.timeline import Timed

CLOCK_TOLERANCE = 1e-3  # seconds; decord gives its times as float32


def open_decord(file: IO[bytes], container: InputContainer, stream: av.VideoStream, short_side: int) -> Reader[Any]:
    """PyAV reads what decord cannot open or misreads, which shows where its first frame is not where FFmpeg's is.

    decord 0.6.0 counts frames that an edit list hides, puts MPEG program streams near -1e14 s, and maps no HDR.
    """
    if stream.codec_context.color_trc in HDR:
        return PyAVReader(container, stream, short_side)
    position = file.tell()  # where `container` goes on reading, if PyAV is the one that will
    file.seek(0)
    try:
        video = decord.VideoReader(file, num_threads=1)
        times = video.get_frame_timestamp(range(len(video))).tolist()
    except (decord.DECORDError, RuntimeError):
        return PyAVReader(container, stream, short_side)
    finally:
        file.seek(position)
    start = (stream.start_time or 0) * (stream.time_base or 0)
    if abs(times[0][0] - start) > CLOCK_TOLERANCE:
        return PyAVReader(container, stream, short_side)
    return DecordReader(video, times, stream, short_side)


class DecordReader:
    """A Reader whose items are indices of frames.

    decord decodes ahead in a thread of its own. When that comes to damage, frames in front of it that were not fetched
    yet are lost: of a damaged file a busy machine may give fewer frames than an idle one.
    """

    def __init__(self, video: Any, times: list[tuple[float, float]], stream: av.VideoStream, short_side: int) -> None:
        self.broken = ""
        self._video = video
        self._times = times
        self._stream = stream
        self._short_side = short_side

    def timeline(self) -> Iterator[Timed[int]]:
        for index, (start, end) in enumerate(self._times):
            yield Timed(start=Fraction(start), end=Fraction(end), item=index)

    def picture(self, item: int) -> Image.Image:
        """decord turns frames upright itself, so the aspect of a pixel is inverted where it turned a quarter."""
        try:
            image = Image.fromarray(self._video[item].asnumpy())
        except decord.DECORDError as error:
            del self._times[item:]
            raise Break(f"frame {item} cannot be decoded: {error}") from error
        aspect = self._stream.sample_aspect_ratio
        if aspect and image.size != (self._stream.width, self._stream.height):
            aspect = 1 / aspect
        return image.resize(fitted_size(*image.size, aspect, self._short_side), Image.Resampling.BICUBIC)

    def duration(self) -> Fraction:
        return Fraction(max(end for _, end in self._times)) - Fraction(self._times[0][0])
