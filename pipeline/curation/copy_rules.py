"""Which copies leave: the thresholds of the passes over all documents."""

from dataclasses import dataclass

from pipeline.curation import pictures


@dataclass(frozen=True, kw_only=True)
class CopyRules:
    """Which copies leave; nothing does by default."""

    paragraph_documents: int | None = None
    """Documents of one host that may have a paragraph in common (OBELICS: 2); in more of them it leaves. Null: any."""
    same_address: bool = False
    """Of documents with one canonical address the one published last stays, or the last in order if none says when."""
    same_text: bool = False
    """Of documents with the same words one stays: with the most media, then the first in order."""
    same_images: bool = False
    """Of documents with the same set of images one stays: with the most media, then the most words, then the first."""
    near_text: float | None = None
    """Jaccard similarity of 5-word shingles, 0.5 to 1, from which on documents are copies (0.8). A text of fewer
    words is one shingle. Null: none is."""
    image_documents: int | None = None
    """Documents that may have a picture in common (OBELICS: 10); in more of them it leaves everywhere. Null: any."""
    repeated_images: bool = False
    """A picture that its document has shown before leaves."""
    image_distance: int = pictures.MOST_DISTANCE
    """Bits of 64, 0 to 8, in which the perceptual hashes of one picture may differ."""
    benchmark_images: str = ""
    """Folder of images that models are judged by; near-copies leave."""
    benchmark_texts: str = ""
    """Folder of .txt files, a text a line; documents that share 13 words in a row with one leave (GPT-3)."""

    def __post_init__(self) -> None:
        for name in ("paragraph_documents", "image_documents"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or greater, or null")
        if self.near_text is not None and not 0.5 <= self.near_text <= 1:
            raise ValueError(f"near_text is {self.near_text:g}; it must be from 0.5 to 1, or null")
        if not 0 <= self.image_distance <= 8:
            raise ValueError(f"image_distance is {self.image_distance}; it must be from 0 to 8")

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of evidence that it takes."""
        wanted = {
            "same_address": self.same_address,
            "same_text": self.same_text,
            "same_images": self.same_images,
            "bands": self.near_text is not None,
            "shingles": self.near_text is not None,
            "images": self.image_documents is not None or self.repeated_images,
        }
        return frozenset(kind for kind, asked in wanted.items() if asked)
