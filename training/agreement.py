"""Ranks that plan other calls, or that do not come, are named before the calls are made: afterwards all would hang.

Under ZeRO-3 each forward gathers parameters, so a rank that makes one more, or one fewer, leaves the others waiting.
Before an update's first forward every rank therefore shows what it plans, in a group of its own with a deadline.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import torch
import torch.distributed as dist

from jobs.command import InputError

DIGEST_BYTES = 16


class Disagreement(RuntimeError):
    """Ranks that cannot make an update together."""


class Agreement:
    """A gloo group of all ranks, for what they plan alone. All ranks must make it."""

    def __init__(self, *, seconds: float) -> None:
        """`seconds` is how long a rank waits for all others."""
        self._deadline = timedelta(seconds=seconds)
        group = dist.new_group(backend="gloo", timeout=self._deadline)
        assert isinstance(group, dist.ProcessGroup)
        self._group = group

    def check(self, update: int, plans: Mapping[str, str]) -> None:
        """Returns on every rank when all plan the same; `plans` says by dataset which calls this rank will make.

        Raises Disagreement that names the ranks that did not come in time, or the datasets and the ranks that plan
        other calls than the first.
        """
        try:
            dist.monitored_barrier(self._group, timeout=self._deadline, wait_all_ranks=True)
        except RuntimeError as error:
            raise Disagreement(
                f"update {update}: not all ranks came within {self._deadline.total_seconds():g} s: {error}"
            ) from error
        for name, ranks in self._others({name: f"{update} {name} {plan}" for name, plan in plans.items()}):
            raise Disagreement(
                f"update {update}: of dataset {name}, ranks {ranks} of {dist.get_world_size()} plan other calls than "
                f"rank 0; rank {dist.get_rank()} plans: {plans[name]}"
            )

    def check_backbones(self, fingerprints: Mapping[str, str]) -> None:
        """Returns on every rank when all have loaded the same backbones; `fingerprints` are the rank's, by part.

        Raises InputError that names the ranks that have not: sharing them out would mix their weights.
        """
        for part, ranks in self._others(fingerprints):
            raise InputError(
                f"ranks {ranks} of {dist.get_world_size()} have loaded other {part} weights than rank 0; make its "
                f"folder the same on every node, or name a commit of the hub in model.{part}_revision"
            )

    def _others(self, values: Mapping[str, str]) -> Iterator[tuple[str, list[int]]]:
        """The names whose value is not the same on all ranks, with those of another than rank 0's."""
        mine = torch.stack([_digest(value) for value in values.values()])
        all_ranks = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(all_ranks, mine, group=self._group)
        for number, name in enumerate(values):
            first = all_ranks[0][number]
            ranks = [rank for rank, theirs in enumerate(all_ranks) if not torch.equal(theirs[number], first)]
            if ranks:
                yield name, ranks

    def all(self, mine: bool) -> bool:
        """Whether it is so on every rank. All ranks must call it."""
        told = torch.tensor([mine], dtype=torch.int64)
        dist.all_reduce(told, dist.ReduceOp.MIN, group=self._group)
        return bool(told)

    def gather(self, words: Sequence[str] | None) -> list[str]:
        """The words of all ranks, if at least one of them is not None. All ranks must call it."""
        told = torch.tensor([words is not None], dtype=torch.int64)
        dist.all_reduce(told, group=self._group)
        if not told:
            return []
        gathered: list[Sequence[str]] = [()] * dist.get_world_size()
        dist.all_gather_object(gathered, tuple(words or ()), group=self._group)
        return [word for theirs in gathered for word in theirs]


def _digest(text: str) -> torch.Tensor:
    """uint8[DIGEST_BYTES]"""
    return torch.frombuffer(bytearray(hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]), dtype=torch.uint8)
