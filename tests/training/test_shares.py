"""Batches and lanes that workers cannot share evenly, refused in a sentence before any worker starts."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.command import InputError
from training.config import TrainingConfig
from training.inputs import check_shares


@pytest.fixture
def config(make_config: Callable[..., TrainingConfig], tmp_path: Path) -> TrainingConfig:
    """Batches of 4 pages, 12 pairs and 4 films."""
    config = make_config(tmp_path, uneven=False)
    batches = {"pages": 4, "pairs": 12, "films": 4}
    datasets = {name: dataclasses.replace(one, batch=batches[name]) for name, one in config.datasets.items()}
    return dataclasses.replace(config, datasets=datasets)


@pytest.mark.parametrize(("workers", "least"), [(1, 0), (2, 0), (4, 0), (2, 1)])
def test_numbers_of_workers_that_fit(config: TrainingConfig, workers: int, least: int):
    check_shares(dataclasses.replace(config, workers=workers, least_workers=least))


@pytest.mark.parametrize(
    ("workers", "least", "sentence"),
    [
        (8, 0, "datasets.pages.batch is 4, of which 8 workers cannot have as much each"),
        (3, 0, "datasets.pages.batch is 4, of which 3 workers cannot have as much each"),
        (4, 1, "datasets.pages.batch is 4, of which 3 workers cannot have as much each"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused(config: TrainingConfig, workers: int, least: int, sentence: str):
    odd = dataclasses.replace(config, workers=workers, least_workers=least)
    with pytest.raises(InputError, match=sentence):
        check_shares(odd)
    check_shares(dataclasses.replace(odd, uneven=True))


def test_lanes_that_do_not_divide_are_refused(config: TrainingConfig):
    datasets = {"pairs": dataclasses.replace(config.datasets["pairs"], batch=12)}
    with pytest.raises(InputError, match="the number of lanes is 64, of which 3 workers cannot have as much each"):
        check_shares(dataclasses.replace(config, datasets=datasets, workers=3))


def test_elastic_bounds_are_in_order(config: TrainingConfig):
    with pytest.raises(ValueError, match="least_workers is 3; it must be at most workers, 2"):
        dataclasses.replace(config, least_workers=3)
