"""Whether losses are as they should be: updates without a finite gradient, and losses far above those before."""

import math
import statistics
from collections import deque
from collections.abc import Mapping

MEMORY, LEAST = 100, 20
"""Updates that a loss is compared with, at most and at least."""
DEVIATIONS = 6
"""Standard deviations above the mean of those from which a loss is a spike: 1 in a thousand million, were it normal."""


class Health:
    """What a run's updates were like so far; the same on every rank, because losses and norms are."""

    def __init__(self) -> None:
        self._losses = dict[str, deque[float]]()
        self.skipped_in_a_row = 0

    def judge(self, losses: Mapping[str, float], gradient_norm: float) -> list[str]:
        """What was wrong with an update, in words; nothing if it was as others before it."""
        if not math.isfinite(gradient_norm):
            self.skipped_in_a_row += 1
            values = ", ".join(f"{name} {loss:g}" for name, loss in losses.items())
            return [f"no step was made, because the gradient is not finite (loss: {values})"]
        self.skipped_in_a_row = 0
        return [sentence for name, loss in losses.items() for sentence in self._compare(name, loss)]

    def _compare(self, name: str, loss: float) -> list[str]:
        before = self._losses.setdefault(name, deque(maxlen=MEMORY))
        known = list(before)
        before.append(loss)
        if len(known) < LEAST:
            return []
        mean, deviation = statistics.fmean(known), statistics.stdev(known)
        if loss <= mean + DEVIATIONS * deviation:
            return []
        return [f"the loss of {name} is {loss:.3f}, where the {len(known)} before were {mean:.3f} +- {deviation:.3f}"]
