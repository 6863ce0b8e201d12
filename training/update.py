"""One update: of every dataset one weighted backward, then one clip and one step; and what is measured of it."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from model.flamingo import FlamingoBatch
from training.config import TrainingConfig
from training.data.mixture import LoadedBatch
from training.data.source import REASONS
from training.engine import AnyFlamingo, sum_over_ranks, trained_parameters
from training.gradients import Gradients
from training.micro_batches import count_micro_batches, count_targets, split_batch
from training.phases import Phases


def make_update(
    flamingo: AnyFlamingo,
    batches: Mapping[str, LoadedBatch],
    config: TrainingConfig,
    learning_rate: float,
    phases: Phases,
    gradients: Gradients | None = None,
) -> dict[str, Any]:
    """One step on sum_m weight_m * (mean loss over the tokens of dataset m's global batch); returns its measures.

    The mean is over all ranks' tokens together, so it does not depend on how a batch is split. Where the objective is
    `merged`, the sums over tokens are divided by those of all datasets instead. `gradients`, where given, is told of
    each dataset's.
    """
    tokens = add_up({name: count_targets(loaded.batch) for name, loaded in batches.items()}, flamingo.device)
    divisors = dict.fromkeys(tokens, sum(tokens.values())) if config.objective == "merged" else tokens
    sums = dict[str, float]()
    for name, loaded in batches.items():
        sums[name] = add_gradients(flamingo, loaded.batch, config, name, tokens=int(divisors[name]), phases=phases)
        if gradients:
            gradients.note(name)
    phases.enter("step")
    gradient_norm = flamingo.step(learning_rate)
    phases.enter("measures")
    sums = add_up(sums, flamingo.device)
    return {
        "loss": {name: total / max(1, tokens[name]) for name, total in sums.items()},
        "objective": sum(config.datasets[name].weight * sums[name] / max(1, divisors[name]) for name in sums),
        "tokens": {name: int(number) for name, number in tokens.items()},
        **measure_data(batches, flamingo.device),
        "learning_rate": learning_rate,
        "gradient_norm": gradient_norm,
        **(gradients.measures() if gradients else {}),
        "gates": gate_values(flamingo),
    }


def add_gradients(
    flamingo: AnyFlamingo, batch: FlamingoBatch, config: TrainingConfig, name: str, *, tokens: int, phases: Phases
) -> float:
    """Adds those of this rank's part of a batch of dataset `name`; returns its sum of -log p.

    `tokens`, by which the sum is divided, are those of global batches, so it does not matter how the part is cut into
    micro-batches.
    """
    dataset = config.datasets[name]
    parts = count_micro_batches(dataset.batch, dist.get_world_size(), config.micro_batch)
    total = 0.0
    for part in split_batch(batch, parts):
        phases.enter("forward")
        loss_sum = flamingo.loss_sum(part.to(flamingo.device))
        phases.enter("backward")
        flamingo.backward(loss_sum, weight=dataset.weight, tokens=tokens)
        total += loss_sum.item()
    return total


def add_up(values: Mapping[str, float], device: torch.device) -> dict[str, float]:
    """Each value, summed over all ranks."""
    return dict(zip(values, sum_over_ranks(list(values.values()), device), strict=True))


def measure_data(batches: Mapping[str, LoadedBatch], device: torch.device) -> dict[str, dict[str, Any]]:
    """Of all ranks together: the share of text that is padding, and the samples passed over since they started."""
    counts = [
        float(count)
        for loaded in batches.values()
        for count in (
            loaded.batch.input_ids.numel(),
            loaded.batch.attention_mask.sum(),
            *(loaded.bad.get(reason, 0) for reason in REASONS),
        )
    ]
    totals = dict(
        zip(batches, torch.tensor(sum_over_ranks(counts, device)).view(len(batches), -1).tolist(), strict=True)
    )
    reasons = {name: dict(zip(REASONS, map(int, total[2:]), strict=True)) for name, total in totals.items()}
    return {
        "padding": {name: 1 - tokens / cells for name, (cells, tokens, *_) in totals.items()},
        "bad_samples": {name: sum(numbers.values()) for name, numbers in reasons.items()},
        "bad_reasons": {f"{name} {why}": n for name, numbers in reasons.items() for why, n in numbers.items() if n},
    }


def gate_values(flamingo: AnyFlamingo) -> dict[str, float]:
    """tanh of each gate by its name: the share of a block's output that reaches the language model."""
    gates = [(name, parameter) for name, parameter in trained_parameters(flamingo.model) if name.endswith("_gate")]
    return {name: flamingo.whole(parameter).tanh().item() for name, parameter in gates}
