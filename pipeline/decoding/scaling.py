"""From a decoded frame in any pixel format to an upright picture in square pixels, at the size that is stored.

    frame ──► one field, if interlaced ──► its size, in its own format ──► RGB ──► on black ──► upright

Scaling comes before the conversion to RGB, which takes most of the time at full size.
"""

from fractions import Fraction

import av
from av.error import FFmpegError
from av.filter import Graph
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter
from PIL import Image

from pipeline.decoding.picture import fitted_size, on_black, turned
from pipeline.decoding.reader import Break

HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
"""Transfer functions of high dynamic range: PQ and HLG (ITU-R BT.2100). To map them takes FFmpeg 3 s a file."""


class Scaler:
    """Makes pictures of the frames of one video; it keeps what FFmpeg prepares for their format and size."""

    def __init__(self, short_side: int) -> None:
        self._short_side = short_side
        self._resizer = VideoReformatter()
        self._converter = VideoReformatter()
        self._graph: tuple[tuple[int, int, str], Graph] | None = None

    def picture(self, frame: av.VideoFrame, pixel_aspect: Fraction | None) -> Image.Image:
        """Raises Break if FFmpeg cannot convert the frame."""
        size = fitted_size(frame.width, frame.height, pixel_aspect, self._short_side)
        mode = "RGBA" if any(component.is_alpha for component in frame.format.components) else "RGB"
        try:
            plane = self._converted(frame, size, "rgba" if mode == "RGBA" else "rgb24").planes[0]
        except MemoryError:
            raise
        except FFmpegError as error:
            raise Break(f"a frame in {frame.format.name} cannot be converted: {error}") from error
        image = Image.frombytes(mode, size, memoryview(plane), "raw", mode, plane.line_size)
        return turned(on_black(image) if mode == "RGBA" else image, frame.rotation)

    def _converted(self, frame: av.VideoFrame, size: tuple[int, int], pixels: str) -> av.VideoFrame:
        width, height = size
        shown = self._field(frame) if frame.interlaced_frame and frame.height > 1 else frame
        if frame.format.name.startswith("yuv"):
            shown = self._resizer.reformat(shown, width, height, interpolation="BICUBIC", threads=1)
        hdr = frame.color_trc in HDR
        return self._converter.reformat(
            shown,
            width,
            height,
            pixels,
            interpolation="BICUBIC",
            dst_color_trc=ColorTrc.BT709 if hdr else None,  # white is 203 cd/m2, and what is brighter is white
            dst_color_primaries=ColorPrimaries.BT709 if hdr else None,
            threads=1,
        )

    def _field(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The upper field of a frame whose two were taken at different times: together they show combs."""
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None or self._graph[0] != kind:
            graph = Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
            )
            graph.link_nodes(source, graph.add("field", "type=top"), graph.add("buffersink")).configure()
            self._graph = kind, graph
        graph = self._graph[1]
        graph.vpush(frame)
        return graph.vpull()
