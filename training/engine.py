"""A Flamingo whose parameters, gradients and optimiser are spread over the workers: DeepSpeed ZeRO stage 3."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.runtime.engine import DeepSpeedEngine
from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3
from torch import Tensor, nn

from model.flamingo import Flamingo, FlamingoBatch
from training.config import TrainingConfig

REDUCE_BUCKET = 50_000_000
"""Most gradient elements that one message carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedFlamingo:
    """A Flamingo under ZeRO-3. Every rank must make the same calls in the same order."""

    model: Flamingo
    engine: DeepSpeedEngine
    optimizer: DeepSpeedZeroOptimizer_Stage3
    device: torch.device
    """Where batches go."""

    def logits(self, batch: FlamingoBatch) -> Tensor:
        """float[batch, text, vocabulary]."""
        return self.engine(batch)

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

    def step(self, learning_rate: float) -> float:
        """Clips the gradients and makes one step of the optimiser; returns their norm before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.engine.step()
        return float(self.engine.get_global_grad_norm() or 0.0)

    def trained_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The trained parameters by name, in an order that is the same on every rank."""
        return [(name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad]

    def whole(self, parameter: nn.Parameter, moment: str | None = None) -> Tensor:
        """float32[parameter's shape]: the optimiser's copy of a trained parameter, or a moment of it."""
        return self.optimizer.get_full_hp_param(parameter, moment)


def shard(model: Flamingo, config: TrainingConfig, device: torch.device) -> ShardedFlamingo:
    """Spreads the model, frozen parameters too, over the ranks of torch's process group, with AdamW on the trained.

    torch's own AdamW, because DeepSpeed's would be compiled on the machine.
    """
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # The one op that DeepSpeed would compile unasked, for an all-reduce that only its inference makes.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist.get_backend(), verbose=False)
    settings = zero_settings(model, config)
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=torch.optim.AdamW(parameter_groups(model, config.weight_decay)), config=settings
    )
    assert isinstance(engine.optimizer, DeepSpeedZeroOptimizer_Stage3)
    return ShardedFlamingo(model=model, engine=engine, optimizer=engine.optimizer, device=device)


def parameter_groups(model: Flamingo, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters in two groups: weight matrices of the gated blocks, which decay, and all others.

    The paper decays nothing in the resampler (appendix B.1.2); norms, biases, gates and new tokens are left out too.
    """
    decayed, others = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and ".block." in name else others).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def zero_settings(model: Flamingo, config: TrainingConfig) -> dict[str, Any]:
    """DeepSpeed's configuration."""
    trained = sum(parameter.numel() for parameter in model.trained_parameters())
    return {
        "train_micro_batch_size_per_gpu": 1,  # only DeepSpeed's own counters read it
        "managed_gradient_accumulation": False,  # any number of backwards, then a step; nothing is divided by it
        "gradient_clipping": config.clip,
        "bf16": {"enabled": config.precision == "bf16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": 3,
            "reduce_bucket_size": min(REDUCE_BUCKET, trained),
            "stage3_param_persistence_threshold": config.persistent_parameters,
            "memory_efficient_linear": False,  # its matrix products differ in the last bit from the frozen model's
        },
    }


def sum_over_ranks(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value, summed over all ranks in double precision."""
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()
