"""What a run of the demo found: all that the report shows, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A held-out digit and what the trained model said of it."""

    label: str
    """The digit's word, such as `seven`: what `demo.held_out.named` should find in the caption."""
    picture: bytes
    """The held-out digit as PNG."""
    wrong_label: str
    """What the wrong picture shows."""
    wrong_picture: bytes
    """Another held-out digit as PNG, shown in its place."""
    caption: str
    """Generated with the digit's own picture."""
    caption_blank: str
    """Generated with a blank picture."""
    caption_wrong: str
    """Generated with the wrong picture: it should name `wrong_label`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the demo made and measured."""

    web: str
    """URI of the dataset of pages."""
    pairs: str
    """URI of the dataset of image-text pairs."""
    videos: str
    """URI of the dataset of videos."""
    site: Path
    """The folder that was served as the site."""
    base_url: str
    """The address at which the site was served, with a slash at its end; documents' sources begin with it."""
    log: Path
    """Training's `log.jsonl`, a record an update."""
    summary: Mapping[str, float]
    """Figures by name: pages, documents, images, pairs, videos, updates, accuracy, accuracy_blank,
    accuracy_wrong_image, trained_parameters, total_parameters, seconds, peak_rss_mb."""
    answers: Sequence[Answer]
    """All held-out digits; the report shows some and counts all."""
    commands: Sequence[str]
    """What was run, in order, as one would type it."""
