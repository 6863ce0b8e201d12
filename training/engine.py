"""DeepSpeed ZeRO stage 3 around a Flamingo: how it is set up, and how gradients are scaled."""

import logging
from collections.abc import Sequence
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.runtime.engine import DeepSpeedEngine
from torch import Tensor, nn

from model.flamingo import Flamingo
from training.config import TrainingConfig

REDUCE_BUCKET = 50_000_000
"""Most gradient elements that one message carries."""


def start_engine(model: Flamingo, config: TrainingConfig) -> DeepSpeedEngine:
    """Shards the parameters, frozen ones too, over the workers of torch's process group, with AdamW on the trained.

    The learning rate is 0 until `set_learning_rate`.
    """
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # The one op that DeepSpeed would compile by itself, for an all-reduce that only its inference makes.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist.get_backend(), verbose=False)
    optimizer = torch.optim.AdamW(parameter_groups(model, config.weight_decay), lr=0.0)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=deepspeed_config(model, config))
    return engine


def parameter_groups(model: Flamingo, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters in two groups: weight matrices of the gated blocks, which decay, and all others.

    The paper decays nothing in the resampler (appendix B.1.2); norms, biases, gates and new tokens are left out too.
    """
    decayed, others = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and ".block." in name else others).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def deepspeed_config(model: Flamingo, config: TrainingConfig) -> dict[str, Any]:
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


def set_learning_rate(engine: DeepSpeedEngine, learning_rate: float) -> None:
    for group in engine.optimizer.param_groups:
        group["lr"] = learning_rate


def backward_share(engine: DeepSpeedEngine, loss_sum: Tensor, weight: float, tokens: int) -> None:
    """Adds to the gradients this rank's share of weight * (mean loss over the `tokens` of the global batch).

    `loss_sum` is the rank's own sum over tokens. DeepSpeed averages gradients over ranks, so the share is scaled by
    the number of ranks to make that average the sum.
    """
    engine.backward(loss_sum * (weight * dist.get_world_size() / max(1, tokens)), scale_wrt_gas=False)


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Each value, summed over all ranks, in double precision."""
    total = torch.tensor(values, dtype=torch.float64, device=_collective_device())
    dist.all_reduce(total)
    return total.tolist()


def _collective_device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
