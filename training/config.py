"""What a run is: model, mixture of datasets, optimiser, and when to save. The paper's values by default."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.config import FlamingoConfig
from training.data.sampling import Kind, LossMask
from training.hardware import HardwareConfig
from training.offload_config import OffloadConfig
from training.schedule import Schedule, scale_at

Precision = Literal["fp32", "bf16"]
Objective = Literal["accumulated", "round_robin", "merged"]
LoggerName = Literal["tensorboard", "ray", "wandb", "mlflow"]


def _at_least(config: object, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}; it must be a finite number")
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetConfig:
    """One dataset of the mixture."""

    uri: str
    """Where its manifest lies: a folder, or an address such as s3://bucket/m3w."""
    kind: Kind
    """How documents become samples: a window of a page (interleaved), an image and its text (pair), or a video and
    its text (video)."""
    weight: float = 1.0
    """Lambda, by which its loss counts in the objective (the paper: M3W 1.0, ALIGN and LTIP 0.2, VTP 0.03)."""
    batch: int = 64
    """Samples an update, of all workers together."""
    max_text: int = 256
    """Tokens of a sample, special ones included (the paper: 256 for pages, 32 or 64 for pairs and videos)."""
    max_images: int = 5
    """Images of a sample of a page."""
    max_frames: int = 8
    """Frames of a video, one a second."""
    next_image_chance: float = 0.5
    """p_next: the chance that a page's text attends to the image after it instead of the one before it."""
    leading_space_chance: float = 0.5
    """The chance of a space before the text of a pair or video."""
    flip_chance: float = 0.5
    """The chance that the picture of a pair is mirrored; 0 where captions say left and right, or pictures hold text."""
    colour_jitter: float = 0.2
    """How far brightness, contrast and saturation of a pair's picture may be changed, as a share of each."""
    loss_mask: LossMask = "paper"
    """Which tokens are trained on: all but <image> (paper), or of pages only those behind an <image>, up to the next
    <EOC> (openflamingo)."""
    row_tokens: int = 0
    """Tokens of a row that several samples share, none of which sees another, so that short ones leave less padding;
    at least max_text, or 0 to give each sample its own row. Changes no loss."""
    max_bad_samples: int = 10
    """Samples of any 10,000 that a worker may pass over because a picture cannot be decoded."""

    def __post_init__(self) -> None:
        if not self.uri:
            raise ValueError("uri is empty; it must name a folder or an address with a dataset")
        _at_least(self, 1, "batch", "max_images", "max_frames")
        _at_least(self, 2, "max_text")
        _at_least(self, 0, "weight", "max_bad_samples")
        for name in ("next_image_chance", "leading_space_chance", "flip_chance", "colour_jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")
        if self.row_tokens and self.row_tokens < self.max_text:
            raise ValueError(f"row_tokens is {self.row_tokens}; it must be 0, or at least max_text, {self.max_text}")


@dataclass(frozen=True, kw_only=True)
class MeasuresConfig:
    """What is measured of some updates alone, because it costs time or memory. No update depends on it."""

    # No slots: jsonargparse reads the fields of a default with vars().
    controls_every: int = 100
    """Updates between those whose losses are also taken with blank pictures, and with those of other samples: two more
    forwards. 0 for none."""
    gradients_every: int = 0
    """Updates between those of which the log has each dataset's gradient norm, and the cosine between each two: a
    worker's share of the gradients once more for each dataset, in memory. 0 for none."""
    collectives_every: int = 0
    """Updates between those of which the log has the seconds in collectives, by torch's profiler, which slows them
    down. 0 for none."""

    def __post_init__(self) -> None:
        _at_least(self, 0, "controls_every", "gradients_every", "collectives_every")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One training run: the adapters of one Flamingo on a mixture of datasets."""

    output: str
    """Folder of the run, on a disk that every node sees: log, checkpoints, adapters."""
    model: FlamingoConfig
    """The backbones, which stay frozen, and the shape of what is trained between them."""
    datasets: Mapping[str, DatasetConfig]
    """The mixture by name; each update takes one batch of every dataset, unless the objective is round_robin."""
    init_from: str = ""
    """Adapters to begin with: a folder that a run or an export left, or empty for new ones. A vision encoder that was
    frozen when they were trained, and is trained now (model.vision_frozen false), begins as it is loaded."""
    objective: Objective = "accumulated"
    """What an update goes down: the sum over datasets of weight * (mean loss over the tokens of its batch), which is
    the paper's; that of one dataset, each in its turn (round_robin); or the mean over the tokens of all batches
    together, each loss by its dataset's weight (merged)."""
    z_loss: float = 0.0
    """By which the squared logarithm of the softmax's normaliser counts in the gradient (PaLM: 1e-4); 0 for none."""
    updates: int = 500_000
    """Steps of the optimiser."""
    learning_rate: float = 1e-4
    """Of AdamW, after the warm-up: its highest."""
    warmup: int = 5_000
    """Updates in which the learning rate rises from 0."""
    schedule: Schedule = "constant"
    """What the learning rate does after the warm-up: it stays (the paper), or falls along half a cosine or a line to
    its floor at the last update."""
    learning_rate_floor: float = 0.0
    """Of the last update, as a share of `learning_rate`; a constant schedule does not reach it."""
    vision_learning_rate: float = 1.0
    """Of the vision encoder, where it is trained, as a share of `learning_rate`."""
    weight_decay: float = 0.1
    """On the weight matrices of the gated blocks; none on the resampler, norms, biases, gates and new tokens, nor on a
    vision encoder that is trained."""
    clip: float = 1.0
    """Largest norm of an update's gradient, all datasets and workers together."""
    precision: Precision = "fp32"
    """Of weights, activations and gradients as they are computed with; the optimiser keeps fp32 copies either way."""
    seed: int = 0
    """Of the adapters' first values, the order of samples, and what is sampled of each document."""
    workers: int = 2
    """Processes that share parameters and batches, each with one GPU if `gpu`, or a CPU."""
    least_workers: int = 0
    """Go on with so few from the last checkpoint when nodes are lost, and with more when there are new ones, up to
    `workers`; 0 waits until there are `workers` again."""
    uneven: bool = False
    """Let workers have parts of a batch that differ by a sample, and read documents that another worker reads too;
    without it, each batch and the 64 lanes of the order of samples must be multiples of the number of workers."""
    gpu: bool = False
    """Train on GPUs."""
    zero_stage: Literal[0, 2, 3] = 3
    """What the workers share out: nothing (0), gradients and optimiser (2), or all parameters too (3)."""
    offload: OffloadConfig = field(default_factory=OffloadConfig)
    """What is kept elsewhere than in the workers' GPUs."""
    persistent_parameters: int = 100_000
    """Tensors of fewer parameters than this stay whole on every worker, which saves small messages (zero_stage 3)."""
    micro_batch: int = 0
    """Most samples that a worker takes through the model at once, which bounds its memory; 0 takes its whole part of
    a dataset's batch. Changes no update."""
    checkpoint_activations: Literal["none", "feed_forwards", "adapters", "all"] = "none"
    """Of which layers only the inputs are kept for the backward, which computes the rest anew: none, the adapters'
    feed-forwards, the adapters, or the frozen layers too."""
    trim_heap: int = 0
    """On CPUs: megabytes of gradients after each of which a worker gives the memory that it has freed back to the
    system, where glibc would keep it; 0 for never. Costs a few hundredths of the time in fp32, more in bf16."""
    decoders: int = 2
    """Processes of each worker that read and decode its samples; 0 does it in the worker itself."""
    prefetch: int = 1
    """Updates whose batches each worker has ready ahead of the one it works on."""
    precomputed: bool = False
    """Train on the features that `python -m training.precompute` left beside the shards, instead of on pictures: for a
    frozen vision encoder, and pairs whose pictures are not changed (flip_chance and colour_jitter 0)."""
    skip_bad_shards: int = 0
    """Shards of each dataset without which a worker goes on, if they are missing, cut, or changed."""
    loggers: tuple[LoggerName, ...] = ("tensorboard", "ray")
    """Who is told what the log says, beside OUTPUT/log.jsonl: TensorBoard, Ray's metrics (which Prometheus reads), and
    as extras Weights & Biases and MLflow, which take their own settings from the workers' environment."""
    measures: MeasuresConfig = MeasuresConfig()
    """What is measured now and then."""
    log_samples: bool = False
    """Write to OUTPUT/samples which documents each update was made of."""
    checkpoint_every: int = 1_000
    """Updates between checkpoints; there is one at the end in any case."""
    checkpoints: str = ""
    """Where they go: a folder, or an address such as s3://bucket/run; OUTPUT/checkpoints if empty."""
    checkpoint_while_training: bool = True
    """Copy what goes into one, and write it while training goes on, instead of waiting."""
    keep_checkpoints: int = 0
    """Checkpoints to keep: so many of the last, and the one with the lowest loss; 0 keeps all."""
    checkpoint_failure: Literal["stop", "go_on"] = "stop"
    """What to do when a checkpoint cannot be written, say because the disk is full: the last one stays in any case."""
    failures: int = 0
    """How often workers that died, with their nodes or alone, are started again from the last checkpoint."""
    max_skipped: int = 10
    """Updates in a row that may make no step, because their gradient is not finite, before the run stops."""
    stuck_seconds: float = 1800.0
    """Seconds that a worker waits for the others before an update, and that it may spend in one phase of it, before it
    ends with a sentence."""
    limit: int | None = None
    """Updates to make now; the run can be continued later. Prints what the whole would take."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    """What the workers run on."""
    dry_run: bool = False
    """Say what the run would take (parameters, memory of each worker, operations, time), and do nothing."""

    def __post_init__(self) -> None:
        if not self.output:
            raise ValueError("output is empty; it must name a folder")
        if not self.datasets:
            raise ValueError("datasets is empty; it must name at least 1 dataset")
        _at_least(self, 1, "updates", "workers", "prefetch", "checkpoint_every")
        _at_least(self, 0, "persistent_parameters", "learning_rate", "warmup", "weight_decay", "seed", "z_loss")
        _at_least(self, 0, "vision_learning_rate")
        _at_least(self, 0, "decoders", "skip_bad_shards", "micro_batch", "keep_checkpoints", "failures", "max_skipped")
        _at_least(self, 0, "least_workers", "trim_heap")
        _at_least(self, 1, "stuck_seconds")
        if not 0 <= self.learning_rate_floor <= 1:
            raise ValueError(f"learning_rate_floor is {self.learning_rate_floor}; it must lie between 0 and 1")
        if self.zero_stage == 0 and self.precision != "fp32":
            raise ValueError(
                f"zero_stage is 0, which is for fp32, and precision {self.precision}; choose 2 or 3 with it"
            )
        self.offload.check(self.zero_stage, self.precision)
        if self.measures.gradients_every and self.zero_stage == 2 and self.offload.optimizer != "none":
            raise ValueError(
                f"measures.gradients_every is {self.measures.gradients_every}, and with offload under zero_stage 2 the "
                "gradients of datasets cannot be told apart; set it to 0, or choose zero_stage 3"
            )
        if self.precomputed:
            self._check_precomputed()
        if self.trim_heap and self.gpu:
            raise ValueError(f"trim_heap is {self.trim_heap}, and gpu true: it is the memory of CPUs; set it to 0")
        if not self.clip > 0:  # also NaN
            raise ValueError(f"clip is {self.clip}; it must be greater than 0")
        if self.least_workers > self.workers:
            raise ValueError(f"least_workers is {self.least_workers}; it must be at most workers, {self.workers}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}; it must be at least 1")

    def _check_precomputed(self) -> None:
        if not self.model.vision_frozen:
            raise ValueError("precomputed is true, and model.vision_frozen false: features of a trained encoder change")
        for name, dataset in self.datasets.items():
            if dataset.kind == "pair" and (dataset.flip_chance or dataset.colour_jitter):
                raise ValueError(
                    f"precomputed is true, and dataset {name} changes its pictures: flip_chance is "
                    f"{dataset.flip_chance} and colour_jitter {dataset.colour_jitter}; set both to 0"
                )

    def learning_rate_at(self, update: int) -> float:
        """The learning rate of that update, counted from 1."""
        return self.learning_rate * scale_at(
            update, schedule=self.schedule, warmup=self.warmup, updates=self.updates, floor=self.learning_rate_floor
        )
