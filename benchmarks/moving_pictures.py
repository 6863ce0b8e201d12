"""Films for `benchmarks.video`: a picture that pans and cuts, something that moves before it, and a sensor's noise.

A stretch of each file is drawn and encoded; the rest repeats its packets, so that a file of ten minutes takes a
twelfth of the time to make and all of it to decode.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

FRAMES_PER_SECOND = 30
CUT_FRAMES = 140
"""Frames from one place of the picture to another."""
NOISE = 1.5
"""Standard deviation, in steps of 256."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A file to be made."""

    name: str
    codec: str
    width: int
    height: int
    stretch: int
    """Frames that are drawn."""
    repeats: int = 1
    options: dict[str, str] = field(default_factory=dict)
    """Of the encoder."""

    @property
    def seconds(self) -> float:
        return self.stretch * self.repeats / FRAMES_PER_SECOND


def make_film(film: Film, folder: Path) -> Path:
    """The file of `film` in `folder`, made if it is not there."""
    path = folder / film.name
    if not path.exists():
        stretch = folder / f"stretch-{film.name}"
        encode(film, stretch)
        whole = folder / f"whole-{film.name}"
        repeat(stretch, whole, film)
        whole.rename(path)
        stretch.unlink()
    return path


def encode(film: Film, path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(film.codec, rate=FRAMES_PER_SECOND, options=film.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        for pixels in drawn(film):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def repeat(stretch: Path, path: Path, film: Film) -> None:
    """The packets of `stretch` again and again, each time later by its length."""
    with av.open(str(path), "w") as whole:
        copy = None
        for number in range(film.repeats):
            with av.open(str(stretch)) as container:
                stream = container.streams.video[0]
                copy = copy or whole.add_stream_from_template(stream)
                later = round(number * film.stretch / FRAMES_PER_SECOND / (stream.time_base or 1))
                for packet in container.demux(stream):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, copy
                        whole.mux(packet)


def drawn(film: Film) -> Iterator[Pixels]:
    """`uint8[height, width, 3]` for each frame of the stretch."""
    chance = np.random.default_rng(film.width)
    width, height = film.width, film.height
    behind = texture(2 * width, 2 * height, chance)
    before = texture(width // 3, height // 3, chance)
    grain = np.clip(chance.normal(8, NOISE, (height + 64, width + 64, 3)), 0, 16).astype(np.uint8)
    for number in range(film.stretch):
        scene = number // CUT_FRAMES
        left, top = place(number / 250 + scene, width, height)
        picture = behind[top : top + height, left : left + width].copy()
        left, top = place(number / 90, 2 * width // 3, 2 * height // 3)
        picture[top : top + before.shape[0], left : left + before.shape[1]] = before
        left, top = chance.integers(0, 64, 2)
        yield np.asarray(cv2.add(picture, grain[top : top + height, left : left + width]), np.uint8)


def place(turn: float, width: int, height: int) -> tuple[int, int]:
    """Left and top, from nothing to `width` and `height`, on a curve that goes on."""
    return int(width * (0.5 + 0.5 * np.cos(0.9 * turn))), int(height * (0.5 + 0.5 * np.sin(turn)))


def texture(width: int, height: int, chance: np.random.Generator) -> Pixels:
    """Noise whose amplitude falls with its frequency, as in photographs (Field 1987)."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    amplitude = np.maximum(frequency, 1 / max(width, height)) ** -1.2
    shades = [np.fft.irfft2(amplitude * np.exp(2j * np.pi * chance.random(amplitude.shape))) for _ in range(3)]
    colour = np.stack(shades, -1) * 0.4 + shades[0][..., None] * 0.6
    size = (width, height)
    return cv2.resize(np.clip(120 + 48 * colour / colour.std(), 0, 239).astype(np.uint8), size)
