"""Random choices that the seed, the document and the epoch decide, so that whoever makes a sample makes the same."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Random numbers that (seed, document key, epoch) decide, each by its own name."""

    seed: int
    key: str
    epoch: int

    def uniform(self, choice: str) -> float:
        """A number in [0, 1) for the choice of that name."""
        digest = hashlib.sha256(f"{self.seed}/{self.key}/{self.epoch}/{choice}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48
