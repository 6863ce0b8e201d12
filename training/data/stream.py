"""One dataset of the mixture, opened: where its samples lie, and how they are made."""

from dataclasses import dataclass, fields

from shards.dataset import open_dataset
from training.config import DatasetConfig, TrainingConfig
from training.data.features import Eye, open_features
from training.data.maker import SampleMaker, without_shards
from training.data.pictures import Canvas
from training.data.sampling import SamplingRule
from training.data.source import Source, Tolerance
from training.data.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One dataset as one worker reads it."""

    config: DatasetConfig
    source: Source
    maker: SampleMaker


def open_stream(
    config: TrainingConfig, name: str, vocabulary: Vocabulary, canvas: Canvas, eye: Eye | None = None
) -> Stream:
    """The dataset `name` of the mixture, and its features where there is an `eye`.

    Raises DatasetError if there is none of either.
    """
    settings = config.datasets[name]
    dataset = open_dataset(settings.uri)
    tolerance = Tolerance(bad_samples=settings.max_bad_samples, bad_shards=config.skip_bad_shards)
    return Stream(
        config=settings,
        source=Source(name, dataset, seed=config.seed, tolerance=tolerance),
        maker=SampleMaker(
            dataset=without_shards(dataset),
            rule=sampling_rule(settings),
            vocabulary=vocabulary,
            canvas=canvas,
            seed=config.seed,
            features=open_features(name, dataset, eye) if eye else None,
        ),
    )


def sampling_rule(dataset: DatasetConfig) -> SamplingRule:
    """The settings of a dataset that say how its documents become samples."""
    return SamplingRule(**{field.name: getattr(dataset, field.name) for field in fields(SamplingRule)})
