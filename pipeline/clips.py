"""A sampled video and its texts into clips: stretches of time, each with the texts that belong to it. Pure.

cues     --aaa--bbbb-----cc-----------ddd---
clips    |aaa  bbbb    |cc          |ddd   |     at most N seconds each, cut between cues, never within one
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.inputs.captions import Cue
from shards.document import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A stretch of a video, and what is said in it; times in seconds from the video's first frame."""

    start: float
    end: float
    text: str

    @property
    def fragment(self) -> str:
        """The stretch as an address names it (w3.org/TR/media-frags, section 4.2.1)."""
        return f"#t={_plain(self.start)},{_plain(self.end)}"


def clips_of_cues(cues: Sequence[Cue], duration: float, seconds: float) -> list[Clip]:
    """Clips of at most `seconds` that together are the whole video, with the cues that begin in each.

    A clip ends before a cue that would not end in it, unless that cue alone takes longer. `cues` are in order of time.
    """
    starts = [cue.start for cue in cues]
    clips, start = list[Clip](), 0.0
    while start < duration:
        end = min(start + seconds, duration)
        if end < duration:
            end = _between_cues(cues[bisect_right(starts, start) : bisect_left(starts, end)], end)
        said = cues[bisect_left(starts, start) : bisect_left(starts, end)]
        clips.append(Clip(start=start, end=end, text=_joined(said)))
        start = end
    return clips


def clips_of_text(text: str, duration: float, seconds: float) -> list[Clip]:
    """Clips of `seconds`, the last one shorter, each with the text that was said of the whole."""
    starts = [number * seconds for number in range(max(1, -int(-duration // seconds)))]
    return [Clip(start=start, end=min(start + seconds, duration), text=text) for start in starts]


def clip_of_cue(cue: Cue, duration: float, seconds: float) -> Clip:
    """The time for which a cue is shown, at most `seconds`."""
    return Clip(start=cue.start, end=min(cue.end, cue.start + seconds, duration), text=_joined([cue]))


def frames_of(clip: Clip, frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """The frames sampled in `clip`; if there is none, as in a short one, the one sampled last before its end."""
    first, stop = (bisect_left(frames, time, key=lambda frame: frame.seconds) for time in (clip.start, clip.end))
    return tuple(frames[first:stop] or frames[max(0, stop - 1) : stop])


def _between_cues(cues: Sequence[Cue], end: float) -> float:
    """The last time up to `end` that lies within none of `cues`, which are in order and begin before it."""
    for cue in reversed(cues):
        if cue.end > end:
            end = cue.start
    return end


def _joined(cues: Sequence[Cue]) -> str:
    return " ".join(" ".join(cue.text.split()) for cue in cues)


def _plain(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
