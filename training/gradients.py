"""How the gradients of an update's datasets lie to each other: pulling one way, past each other, or against.

Gradients accumulate, so a dataset's own is what its backward added. Ranks hold parts of them (`gradient` of a
Flamingo); products of parts, summed over the ranks, are those of the whole.
"""

from itertools import combinations

import torch
from torch import Tensor

from training.engine import AnyFlamingo, sum_over_ranks


class Gradients:
    """Those of one update. All ranks must make the same calls.

    It holds a copy of this rank's part for each dataset, until it is dropped.
    """

    def __init__(self, flamingo: AnyFlamingo) -> None:
        self._flamingo = flamingo
        self._parts = dict[str, Tensor]()

    def note(self, name: str) -> None:
        """To be called behind the backwards of dataset `name`, before those of another."""
        part = self._flamingo.gradient().float().clone()
        for earlier in self._parts.values():
            part -= earlier
        self._parts[name] = part

    def measures(self) -> dict[str, dict[str, float]]:
        """`dataset_gradient_norm` of weight * loss, by dataset, and `gradient_cosine` of each two; 0 where one is 0."""
        pairs = [*((name, name) for name in self._parts), *combinations(self._parts, 2)]
        mine = [float(torch.dot(self._parts[one], self._parts[other])) for one, other in pairs]
        products = dict(zip(pairs, sum_over_ranks(mine, self._flamingo.device), strict=True))
        norms = {name: products[name, name] ** 0.5 for name in self._parts}
        return {
            "dataset_gradient_norm": norms,
            "gradient_cosine": {
                f"{one} {other}": products[one, other] / (norms[one] * norms[other] or 1.0)
                for one, other in combinations(self._parts, 2)
            },
        }
