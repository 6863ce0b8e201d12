from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from demo.clips import write_clips
from demo.digits import WORDS, draw, split_digits


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), count=5)


def decode(film: Path):
    with av.open(film) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        return [(frame.time, frame.to_ndarray(format="gray")) for frame in container.decode(stream)]


def test_films_last_8_to_20_seconds(clips):
    for film in clips:
        times = [time for time, _ in decode(film)]
        assert 8 <= len(times) / 10 <= 20
        assert all(later - earlier == pytest.approx(0.1) for earlier, later in pairwise(times))


def test_captions_name_the_digits_in_order(clips):
    training = split_digits()[0]
    drawn = np.array([np.asarray(draw(digit)) for digit in training], dtype=np.float32)
    for film in clips:
        words = film.with_suffix(".txt").read_text().replace(",", " ").replace(".", " ").split()
        said = [word for word in words if word in WORDS]
        frames = decode(film)
        each = len(frames) // len(said)
        assert each in (10, 20)
        middles = [picture for _, picture in frames[each // 2 :: each]]
        shown = [training[np.abs(drawn - picture).sum(axis=(1, 2)).argmin()].word for picture in middles]
        assert shown == said
