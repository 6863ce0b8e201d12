"""How the learning rate goes with the updates: it rises from 0, and then stays or falls."""

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "linear"]


def scale_at(update: int, *, schedule: Schedule, warmup: int, updates: int, floor: float) -> float:
    """The learning rate of an update, counted from 1, as a share of the highest.

    It rises linearly over `warmup` updates, and unless constant falls to `floor` at the last of `updates`: along
    half a cosine (Loshchilov and Hutter, 2017, without restarts), or a line.
    """
    if update <= warmup:
        return update / warmup
    if schedule == "constant":
        return 1.0
    done = min(1.0, (update - warmup) / max(1, updates - warmup))
    left = 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return floor + (1 - floor) * left
