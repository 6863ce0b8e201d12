"""How the driver starts workers."""

import pytest
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from training.launch import Trainer


@pytest.mark.usefixtures("ray_cluster")
def test_the_cleaner_of_placement_groups_is_left_out_and_nothing_else():
    def callbacks(trainer: type[TorchTrainer]) -> list[str]:
        made = trainer(print, scaling_config=ScalingConfig(num_workers=1))._create_default_callbacks()
        return [type(callback).__name__ for callback in made]

    assert set(callbacks(TorchTrainer)) - set(callbacks(Trainer)) == {"PlacementGroupCleanerCallback"}
    assert len(callbacks(Trainer)) == len(callbacks(TorchTrainer)) - 1
