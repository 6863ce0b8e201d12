"""Ranks that would leave each other waiting: named, and within a deadline."""

import os
from pathlib import Path

import pytest
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from jobs.command import InputError
from training.agreement import Agreement, Disagreement

WORLD = 3


def plans(rank: int, case: str) -> dict[str, str]:
    """What a rank plans: rank 1 cuts the pairs into another number of micro-batches in the case "other"."""
    return {
        "pages": "2 micro-batches",
        "pairs": "3 micro-batches" if case == "other" and rank == 1 else "1 micro-batch",
    }


def meet(rank: int, folder: Path) -> None:
    """The same backbones, then another on one rank; three updates: the same plans, another on one, one rank away."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=WORLD)
    agreement = Agreement(seconds=3)
    said = list[str]()
    agreement.check_backbones({"vision": "ab", "language": "cd"})
    try:
        agreement.check_backbones({"vision": "ab", "language": "ef" if rank == 2 else "cd"})
    except InputError as error:
        said.append(str(error))
    for update, case in enumerate(["same", "other", "absent"], start=1):
        if case == "absent" and rank == 2:
            break
        try:
            agreement.check(update, plans(rank, case))
            said.append("agreed")
        except Disagreement as error:
            said.append(str(error))
    (folder / f"rank-{rank}").write_text("\n".join(said))
    os._exit(0)  # the group cannot be taken down where a rank did not come


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What each rank was told of backbones, and in each update."""
    folder = tmp_path_factory.mktemp("ranks")
    spawn(meet, args=(folder,), nprocs=WORLD)
    return [(folder / f"rank-{rank}").read_text().split("\n") for rank in range(WORLD)]


def test_ranks_that_have_loaded_another_backbone_are_named(said: list[list[str]]):
    for told in said:
        assert told[0] == (
            "ranks [2] of 3 have loaded other language weights than rank 0; make its folder the same on every node, or "
            "name a commit of the hub in model.language_revision"
        )


def test_ranks_that_plan_the_same_agree(said: list[list[str]]):
    assert [told[1] for told in said] == ["agreed"] * WORLD


def test_the_dataset_and_the_ranks_that_plan_otherwise_are_named(said: list[list[str]]):
    for rank, told in enumerate(said):
        assert told[2] == (
            "update 2: of dataset pairs, ranks [1] of 3 plan other calls than rank 0; "
            f"rank {rank} plans: {plans(rank, 'other')['pairs']}"
        )


def test_a_rank_that_does_not_come_is_named(said: list[list[str]]):
    assert len(said[2]) == 3
    assert "update 3: not all ranks came within 3 s" in said[0][3]
    assert "[2]" in said[0][3] or "rank 2" in said[0][3].lower() or "Ranks 2" in said[0][3]
