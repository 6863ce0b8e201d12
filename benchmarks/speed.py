"""Pages per CPU-second of several extractors on a machine that others use too."""

import gc
import time
from collections.abc import Sequence
from statistics import median

from benchmarks.pages import SavedPage
from benchmarks.peers import Extractor

BATCH = 32
"""Pages that one extractor works through before the next has its turn: about a second, so that a machine that slows
down slows all of them."""


def cpu_seconds(extractors: Sequence[Extractor], pages: Sequence[SavedPage], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each extractor for all `pages`, a figure a round, with the extractors taking turns.

    Whoever calls has run every extractor before: the first calls fill caches. The garbage collector runs as in any
    process, but nobody pays for the garbage of the one before.
    """
    seconds = {extractor.name: [0.0] * rounds for extractor in extractors}
    for number in range(rounds):
        for start in range(0, len(pages), BATCH):
            for extractor in extractors:
                gc.collect()
                seconds[extractor.name][number] += _time(extractor, pages[start : start + BATCH])
    return seconds


def _time(extractor: Extractor, pages: Sequence[SavedPage]) -> float:
    started = time.process_time()
    for page in pages:
        extractor.run(page.html, page.url)
    return time.process_time() - started


def share_of(reference: Sequence[float], seconds: Sequence[float]) -> float:
    """The speed as a share of the reference's: the median over rounds of the ratio within a round."""
    return median(whole / own for whole, own in zip(reference, seconds, strict=True))
