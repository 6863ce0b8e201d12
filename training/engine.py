"""A Flamingo on all workers, by DeepSpeed: they share optimiser and gradients (ZeRO stage 2), parameters too (3)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.runtime.engine import DeepSpeedEngine
from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3
from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer
from deepspeed.utils.tensor_fragment import tensor_fragment
from torch import Tensor, nn
from torch.nn import functional

from model.flamingo import Flamingo, FlamingoBatch
from model.vision import cast_statistics
from training.config import TrainingConfig
from training.memory import DTYPES, bucket_elements, count
from training.offload import in_memory, offload_settings
from training.optimizer import MOMENTS, make_moments, make_optimizer, set_learning_rate
from training.replicated import ReplicatedFlamingo, share

Pieces: TypeAlias = Mapping[nn.Parameter, Mapping[str | None, Tensor]]
"""Of each trained parameter the elements that a rank holds, float32[elements]: values (None), and moments by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedFlamingo:
    """A Flamingo under ZeRO stage 2 or 3. Every rank must make the same calls in the same order."""

    model: Flamingo
    engine: DeepSpeedEngine
    optimizer: DeepSpeedZeroOptimizer | DeepSpeedZeroOptimizer_Stage3
    device: torch.device
    """Where batches go."""

    def loss_sum(self, batch: FlamingoBatch) -> Tensor:
        """float32[]: the sum of -log p over the batch's targets."""
        return self.engine(batch, loss=True)

    def backward(self, loss_sum: Tensor, *, weight: float, tokens: int) -> None:
        """Adds to the gradients this rank's share of weight * (mean loss over the `tokens` of the global batch).

        `loss_sum` is the rank's own sum over tokens. DeepSpeed averages gradients over ranks, so the share is
        scaled by the number of ranks to make that average the sum.
        """
        scale = weight * dist.get_world_size() / max(1, tokens)
        self.engine.backward(loss_sum * scale, scale_wrt_gas=False)

    def gradient(self) -> Tensor:
        """float[any]: this rank's part of the gradient so far, zeros among it; the ranks' parts together are all of it.

        Not under stage 2 with an optimiser that is offloaded.
        """
        if isinstance(self.optimizer, DeepSpeedZeroOptimizer_Stage3):
            return self.optimizer.grad_partitions_flat_buffer
        return torch.cat([part.flatten() for part in _gradient_of_stage_2(self.optimizer)])

    def step(self, learning_rate: float) -> float:
        """Clips the gradients and makes one step of the optimiser; returns their norm before clipping.

        A norm that is no finite number makes no step, on no rank: the gradients are dropped.
        """
        set_learning_rate(self.optimizer.param_groups, learning_rate)
        self.engine.step()
        return float(self.engine.get_global_grad_norm() or 0.0)

    def whole(self, parameter: nn.Parameter) -> Tensor:
        """float32[parameter's shape]: the optimiser's copy of a trained parameter."""
        if isinstance(self.optimizer, DeepSpeedZeroOptimizer_Stage3):
            return self.optimizer.get_full_hp_param(parameter)
        return parameter.get_full_hp_param()  # pyright: ignore  # DeepSpeed gives parameters this method

    def held(self, parameter: nn.Parameter) -> range:
        """Those elements of a trained parameter, flattened, whose state in the optimiser this rank holds."""
        if isinstance(self.optimizer, DeepSpeedZeroOptimizer_Stage3):
            return share(parameter.ds_numel)  # pyright: ignore  # DeepSpeed's: the parameter itself may be elsewhere
        mapping = _stage_2_mapping(parameter)
        address = mapping and mapping.lp_fragment_address
        return range(address.start, address.start + address.numel) if address else range(0)

    def saved(self, parameter: nn.Parameter) -> range:
        """Those elements that this rank alone writes to a checkpoint."""
        return self.held(parameter)

    def piece(self, parameter: nn.Parameter, moment: str | None = None) -> Tensor:
        """float32[saved elements]: the optimiser's copy of a trained parameter, or a moment of it."""
        if isinstance(self.optimizer, DeepSpeedZeroOptimizer_Stage3):
            padded = self.optimizer.get_local_fp32_param(parameter, moment)
            return padded[: len(self.held(parameter))]
        mapping = _stage_2_mapping(parameter)
        return mapping.get_hp_fragment(moment) if mapping else torch.empty(0)

    def restore(self, pieces: Pieces, steps: int) -> None:
        """Sets the optimiser's copies of the elements that are held, and their moments, as after `steps` steps."""
        for flat in _flat_parameters(self.optimizer):
            self.optimizer.optimizer.state[flat]["step"].fill_(steps)  # a single number is never in a file
        for parameter, values in pieces.items():
            for moment in (None, *MOMENTS):
                self._set_piece(parameter, moment, values[moment])

    def _set_piece(self, parameter: nn.Parameter, moment: str | None, values: Tensor) -> None:
        if isinstance(self.optimizer, DeepSpeedZeroOptimizer_Stage3):
            length = self.optimizer.get_local_fp32_param(parameter).numel()
            self.optimizer.set_local_hp_param(functional.pad(values, (0, length - len(values))), parameter, moment)
        elif mapping := _stage_2_mapping(parameter):
            mapping.get_hp_fragment(moment).data.copy_(values)


AnyFlamingo: TypeAlias = ShardedFlamingo | ReplicatedFlamingo
"""One of two ways of spreading a Flamingo over the ranks, which have the same methods."""


def shard(model: Flamingo, config: TrainingConfig, device: torch.device, files: Path) -> AnyFlamingo:
    """Spreads the model, frozen parameters too, over the ranks of torch's process group, with AdamW on the trained.

    `files` is the rank's own folder for what is offloaded to files.
    """
    optimizer = make_optimizer(model, config)
    if config.zero_stage == 0:
        model.to(device)
        make_moments(optimizer, model.trained_parameters())
        return ReplicatedFlamingo(model=model, optimizer=optimizer, clip=config.clip, device=device)
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # The one op that DeepSpeed would compile unasked, for an all-reduce that only its inference makes.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist.get_backend(), verbose=False)
    cast_statistics(model, DTYPES[config.precision])  # DeepSpeed casts parameters alone
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=zero_settings(model, config, files))
    assert isinstance(engine.optimizer, DeepSpeedZeroOptimizer | DeepSpeedZeroOptimizer_Stage3)
    for number, flat in enumerate(_flat_parameters(engine.optimizer)):
        with in_memory(engine.optimizer, number):
            make_moments(engine.optimizer.optimizer, [flat])
    if isinstance(engine.optimizer, DeepSpeedZeroOptimizer):
        # It ties parameters to their moments after the first group's step, when other groups have none yet.
        engine.optimizer._lazy_init_hp_params_optimizer_state()
    return ShardedFlamingo(model=model, engine=engine, optimizer=engine.optimizer, device=device)


def zero_settings(model: Flamingo, config: TrainingConfig, files: Path) -> dict[str, Any]:
    """DeepSpeed's configuration."""
    trained = count(model.trained_parameters())
    largest = -(-max(parameter.numel() for parameter in model.parameters()) // dist.get_world_size())
    return {
        "train_micro_batch_size_per_gpu": 1,  # only DeepSpeed's own counters read it
        "managed_gradient_accumulation": False,  # any number of backwards, then a step; nothing is divided by it
        "gradient_clipping": config.clip,
        "bf16": {"enabled": config.precision == "bf16", "check_grad_overflow": config.zero_stage == 2},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # it would be compiled
        "zero_optimization": {
            "stage": config.zero_stage,
            "reduce_bucket_size": bucket_elements(trained),
            "stage3_param_persistence_threshold": config.persistent_parameters,
            "memory_efficient_linear": False,  # its matrix products differ in the last bit from the frozen model's
            "overlap_comm": False,
            **offload_settings(config, largest, files),
        },
    }


def trained_parameters(model: Flamingo) -> list[tuple[str, nn.Parameter]]:
    """The trained parameters by name, in an order that is the same on every rank."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def sum_over_ranks(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value, summed over all ranks in double precision."""
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()


def _gradient_of_stage_2(optimizer: DeepSpeedZeroOptimizer) -> Iterator[Tensor]:
    """As DeepSpeed puts them together itself when it makes a step; in bf16 it holds them so from the start."""
    for group, parameters in enumerate(optimizer.params_in_partition):
        yield from optimizer.averaged_gradients.get(group) or optimizer.get_flat_partition(
            parameters,
            optimizer.first_offset[group],
            optimizer.partition_size[group],
            dtype=optimizer.gradient_accumulation_dtype,
            device=parameters[0].device if parameters else "cpu",
            param_group_idx=group,
            return_tensor_list=True,
        )


def _flat_parameters(optimizer: DeepSpeedZeroOptimizer | DeepSpeedZeroOptimizer_Stage3) -> list[Tensor]:
    """What the optimiser steps on: this rank's elements of all parameters of a group, end to end."""
    if isinstance(optimizer, DeepSpeedZeroOptimizer_Stage3):
        return optimizer.fp32_partitioned_groups_flat
    return optimizer.single_partition_of_fp32_groups


def _stage_2_mapping(parameter: nn.Parameter) -> tensor_fragment | None:
    """Where this rank's elements of a parameter lie; None where it has none of them."""
    return parameter._hp_mapping  # pyright: ignore  # DeepSpeed's
