"""Models that judge images one by one: classes by their probability, and things by their number and area."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import AutoModelForImageClassification, AutoModelForObjectDetection

from pipeline.pixels import Pixels
from pipeline.scoring.config import ClassifierConfig, DetectorConfig, ModelConfig
from pipeline.scoring.models import Inputs, VisionModel, check_numbers, label_numbers, load_vision_model, on_device

Size = tuple[int, int]
"""Height and width, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScorer:
    """A model at work: `prepare` may run beside it on another thread."""

    prepare: Callable[[Sequence[Pixels]], Inputs]
    score: Callable[[Inputs, Sequence[Size]], list[dict[str, float]]]
    """Measures of each picture, from what `prepare` made of them and their sizes."""


def open_classifier(config: ClassifierConfig, device: torch.device) -> ImageScorer:
    """Raises ModelError if the model cannot be loaded, does not know a label or fails on a picture."""
    model = load_vision_model(AutoModelForImageClassification, config, device)
    groups = {name: label_numbers(config, model.network, labels) for name, labels in config.measures.items()}
    return _checked(config, ImageScorer(prepare=model.prepare, score=partial(_classify, model, groups)))


def open_detector(config: DetectorConfig, device: torch.device) -> ImageScorer:
    """Raises ModelError if the model cannot be loaded, does not know a label or fails on a picture."""
    model = load_vision_model(AutoModelForObjectDetection, config, device)
    wanted = label_numbers(config, model.network, config.labels)
    return _checked(
        config, ImageScorer(prepare=model.prepare, score=partial(_detect, model, config, frozenset(wanted)))
    )


def _checked(config: ModelConfig, scorer: ImageScorer) -> ImageScorer:
    def numbers(picture: Pixels) -> Iterable[float]:
        (measures,) = scorer.score(scorer.prepare([picture]), [(picture.shape[0], picture.shape[1])])
        return measures.values()

    check_numbers(config, numbers)
    return scorer


@torch.inference_mode()
def _classify(
    model: VisionModel, groups: dict[str, list[int]], inputs: Inputs, sizes: Sequence[Size]
) -> list[dict[str, float]]:
    logits = model.network(**on_device(inputs, model.device)).logits
    summed = {name: _probability(model, logits, numbers).cpu() for name, numbers in groups.items()}
    return [{name: float(values[place]) for name, values in summed.items()} for place in range(len(sizes))]


def _probability(model: VisionModel, logits: Tensor, numbers: list[int]) -> Tensor:
    """float[images, labels] to the probability float[images] that a picture has one of the labels `numbers`.

    Of labels that exclude each other the sum; of independent ones the largest.
    """
    if model.network.config.problem_type == "multi_label_classification":
        return logits.sigmoid()[:, numbers].amax(1)
    return logits.softmax(1)[:, numbers].sum(1).clamp(max=1.0)


@torch.inference_mode()
def _detect(
    model: VisionModel, config: DetectorConfig, wanted: frozenset[int], inputs: Inputs, sizes: Sequence[Size]
) -> list[dict[str, float]]:
    outputs = model.network(**on_device(inputs, model.device))
    found = model.processor.post_process_object_detection(
        outputs, threshold=config.least_score, target_sizes=list(sizes)
    )
    return [_measures(config, wanted, things, size) for things, size in zip(found, sizes, strict=True)]


def _measures(config: DetectorConfig, wanted: frozenset[int], things: Any, size: Size) -> dict[str, float]:
    labels = things["labels"].tolist()
    boxes = [box for box, label in zip(things["boxes"].tolist(), labels, strict=True) if label in wanted]
    return {config.measure: float(len(boxes)), f"{config.measure}_area": covered(np.array(boxes), size)}


def covered(boxes: npt.NDArray[np.float64], size: Size) -> float:
    """The share of a picture that float[boxes, 4] cover, as left, top, right, bottom in pixels; overlaps count once."""
    mask = np.zeros(size, np.bool_)
    for left, top, right, bottom in boxes.round().astype(int).clip(0).tolist():
        mask[top:bottom, left:right] = True
    return float(mask.mean())
