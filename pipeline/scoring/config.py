"""Which models score images, and the measures that come of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pipeline.rules.bounds import Measure
from pipeline.rules.image import IMAGE_MEASURES


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """A model that tells classes of images apart, explicit ones for instance: any AutoModelForImageClassification."""

    model: str
    """Its name on the Hugging Face hub, or its folder; with weights as safetensors."""
    measures: dict[str, list[str]]
    """For each measure the labels whose probabilities are added, such as nsfw: [porn, hentai]."""
    revision: str = "main"
    """Branch, tag or commit, of a model on the hub."""

    def __post_init__(self) -> None:
        if not self.measures or not all(self.measures.values()):
            raise ValueError(f"measures of {self.model!r} is {self.measures}; it must name measures, each with labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """A model that finds things in images, faces for instance: any AutoModelForObjectDetection."""

    model: str
    """Its name on the Hugging Face hub, or its folder; with weights as safetensors."""
    measure: str
    """What their number is called, such as faces; their share of the picture's area is faces_area."""
    labels: list[str]
    """Labels of what is counted."""
    least_score: float = 0.5
    """Least confidence of what is counted, 0 to 1."""
    revision: str = "main"
    """Branch, tag or commit, of a model on the hub."""

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError(f"labels of {self.model!r} is empty; it must name what is counted")
        if not 0 <= self.least_score <= 1:
            raise ValueError(f"least_score of {self.model!r} is {self.least_score}; it must be from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityConfig:
    """A model that says how well an image and a text agree: CLIP, SigLIP and their like."""

    model: str
    """Its name on the Hugging Face hub, or its folder; with weights as safetensors."""
    nearby: int | None = None
    """Each image is compared with so many paragraphs before it and behind it; without, with all of its document."""
    revision: str = "main"
    """Branch, tag or commit, of a model on the hub."""

    def __post_init__(self) -> None:
        if self.nearby is not None and self.nearby < 1:
            raise ValueError(f"nearby of {self.model!r} is {self.nearby}; it must be 1 or greater")


ModelConfig = ClassifierConfig | DetectorConfig | SimilarityConfig


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """Models that score images; none by default."""

    classifiers: list[ClassifierConfig] = field(default_factory=list[ClassifierConfig])
    """Models for classes of images."""
    detectors: list[DetectorConfig] = field(default_factory=list[DetectorConfig])
    """Models for things in images."""
    similarity: SimilarityConfig | None = None
    """Model for images and texts."""
    batch: int = 32
    """Images, or texts, that a model is given at once."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes the cluster's GPUs, a model of each kind on each, where it has any."""

    keep: str = ""
    """Folder or address in which scores are kept, so that runs with other thresholds need not ask the models again."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"scoring.batch is {self.batch}; it must be 1 or greater")
        seen = set(IMAGE_MEASURES)
        for name, _ in _measures(self):
            if name in seen:
                raise ValueError(f"scoring has two measures named {name!r}; each needs a name of its own")
            seen.add(name)

    @property
    def models(self) -> list[ModelConfig]:
        """All of them, in order."""
        return [*self.classifiers, *self.detectors, *([self.similarity] if self.similarity else [])]


def measures_of(config: ScoringConfig) -> dict[str, Measure]:
    """The measures of an image that the models of `config` take."""
    return dict(_measures(config))


def _measures(config: ScoringConfig) -> Iterator[tuple[str, Measure]]:
    for classifier in config.classifiers:
        for name, labels in classifier.measures.items():
            yield name, Measure(what=f"probability of {' or '.join(labels)} ({classifier.model})", most=1)
    for detector in config.detectors:
        things = " or ".join(detector.labels)
        yield detector.measure, Measure(what=f"number of {things} found ({detector.model})")
        yield f"{detector.measure}_area", Measure(what=f"share of the area that {things} take", most=1)
    if config.similarity:
        what = f"largest cosine similarity to a paragraph that is left ({config.similarity.model})"
        yield "similarity", Measure(what=what, least=-1, most=1)
    if config.models:
        yield "unscored", Measure(what="1 if the picture cannot be decoded, so that no model saw it", most=1)
