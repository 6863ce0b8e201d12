"""From a request to a sample with its pixels: read, sampled, decoded. The same wherever and whenever it is done."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from shards.dataset import Dataset
from shards.document import Document, Frame
from training.data.appearance import Pixels
from training.data.chance import Chance
from training.data.features import Features
from training.data.pictures import Canvas, draw
from training.data.sampling import Sample, SamplingRule, make_sample
from training.data.source import Request
from training.data.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a request became; its pixels lie where they were asked for."""

    sample: Sample
    """Without the encoded frames."""
    frames: tuple[int, ...]
    """How many frames each of its media has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleMaker:
    """Makes the samples of one dataset."""

    dataset: Dataset
    """See `without_shards`."""
    rule: SamplingRule
    vocabulary: Vocabulary
    canvas: Canvas
    seed: int
    features: Features | None = None
    """Of the pictures, where they were computed ahead; they take the place of pixels."""

    @property
    def most_pixels(self) -> tuple[int, ...]:
        """The shape of the pixels of the largest sample: frames, size, size, 3; of features, their bytes."""
        frames = {"interleaved": self.rule.max_images, "pair": 1, "video": self.rule.max_frames}[self.rule.kind]
        if self.features:
            return frames, *self.features.frame_shape
        return frames, self.canvas.size, self.canvas.size, 3

    def make(self, request: Request, pixels: Pixels) -> Made:
        """The sample, its pictures in the first rows of `pixels`, which has the shape `most_pixels`.

        Raises BadMedia if a picture cannot be decoded, and DatasetError if the document cannot be read or is of
        another kind than the rule's.
        """
        document = self.dataset.read(request.shard, request.offset, request.size)
        sample = make_sample(
            document, self.rule, self.vocabulary, Chance(seed=self.seed, key=document.key, epoch=request.epoch)
        )
        frames = [frame for medium in sample.media for frame in medium]
        if self.features:
            numbers = {id(frame): number for number, frame in enumerate(_frames(document))}
            self.features.read(request.shard, request.offset, [numbers[id(frame)] for frame in frames], pixels)
        else:
            for frame, square in zip(frames, pixels, strict=False):
                draw(frame, self.canvas, sample.appearance, square)
        return Made(sample=replace(sample, media=()), frames=tuple(len(medium) for medium in sample.media))


def _frames(document: Document) -> Iterator[Frame]:
    """All that can be seen in a document, in order."""
    return (frame for medium in document.media for frame in medium.frames)


def without_shards(dataset: Dataset) -> Dataset:
    """The dataset with an empty manifest, to be handed to other processes: documents are read by their place alone."""
    return replace(dataset, manifest=replace(dataset.manifest, shards=()))
