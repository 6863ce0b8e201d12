"""What one task notes of the documents of its shard, so that later tasks can compare them with all others.

    shard ─► addresses, texts, image sets      a fingerprint each: exact.py
          ─► bands, shingles                   near.py
          ─► images                            pictures.py
          ─► decisions on near-copies of benchmarks, and on images that cannot be decoded: no other shard is needed

Each kind is a file in a folder of its own, cut into buckets by what has to be the same.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.curation import exact, near, pictures
from pipeline.curation.contamination import SIDE, Benchmarks
from pipeline.curation.decisions import decide, document_number
from pipeline.curation.shuffle import write_buckets
from pipeline.pixels import frame_pixels
from shards.document import Document, Media
from shards.location import Location

BANDS = pa.schema([pa.field("band", pa.uint64(), nullable=False), pa.field("document", pa.int64(), nullable=False)])
KINDS: dict[str, tuple[pa.Schema, str]] = {
    "same_address": (exact.SCHEMA, "fingerprint"),
    "same_text": (exact.SCHEMA, "fingerprint"),
    "same_images": (exact.SCHEMA, "fingerprint"),
    "bands": (BANDS, "band"),
    "shingles": (near.SHINGLES, "document"),
    "images": (pictures.SCHEMA, "content"),
}
"""The columns of each kind of evidence, and the one by which it is cut into buckets."""
LEAVING = pa.schema(
    [
        pa.field("document", pa.int64()),
        pa.field("key", pa.string()),
        pa.field("medium", pa.int32()),
        pa.field("measure", pa.float64()),
        pa.field("other", pa.string()),
    ]
)


class Notes:
    """The evidence of the documents of a shard, in the order in which they are added."""

    def __init__(self, kinds: Collection[str], benchmarks: Benchmarks) -> None:
        self._kinds = kinds
        self._benchmarks = benchmarks
        self._columns = {kind: [list[Any]() for _ in KINDS[kind][0]] for kind in kinds}
        self._leaving = defaultdict[str, list[tuple[Any, ...]]](list)

    def add(self, document: Document, number: int) -> None:
        """Notes `document`, which has that number."""
        words = exact.words_of("\n".join(text.text for text in document.texts))
        richness = exact.richness(document, len(words))
        self._fingerprint(
            "same_address", document, number, exact.address_fingerprint(document), exact.published(document)
        )
        self._fingerprint("same_text", document, number, exact.text_fingerprint(words), richness)
        self._fingerprint("same_images", document, number, exact.image_set_fingerprint(document), richness)
        if words and "bands" in self._kinds:
            shingles = near.shingles_of(words)
            self._row("shingles", number, document.key, richness, shingles)
            for band in near.bands_of(near.signature_of(shingles)):
                self._row("bands", band, number)
        if found := self._benchmarks.text_in(words):
            self._leaving["benchmark_text"].append((number, document.key, -1, found[1], found[0]))
        if "images" in self._kinds or self._benchmarks.images:
            for place, media in enumerate(document.media):
                if media.kind == "image":
                    self._image(document, number, place, media)

    def write(self, folder: Location, name: str, buckets: int) -> None:
        """Writes each kind of evidence to `{folder}/{kind}/{name}.parquet`."""
        for kind, columns in self._columns.items():
            schema, column = KINDS[kind]
            arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            write_buckets(folder / kind / f"{name}.parquet", pa.table(arrays, schema=schema), column, buckets)

    def decisions(self, reason: str) -> pa.Table:
        """Decisions on what leaves for `reason`, whatever other shards hold."""
        columns = zip(*self._leaving[reason], strict=True) if self._leaving[reason] else [[] for _ in LEAVING]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, LEAVING, strict=True)]
        rows = pa.table(arrays, schema=LEAVING)
        return decide(rows, reason, measure=rows["measure"], other=rows["other"])

    def _image(self, document: Document, number: int, place: int, media: Media) -> None:
        try:
            look = pictures.look_of(frame_pixels(media.frames[0], SIDE))
        except ValueError:
            self._leaving["broken_image"].append((number, document.key, place, None, ""))
            return
        if "images" in self._kinds:
            content = exact.fingerprint(media.frames[0].data)
            self._row("images", content, number, document.key, place, *look)
        if found := self._benchmarks.image_like(look):
            self._leaving["benchmark_image"].append((number, document.key, place, found[1], found[0]))

    def _fingerprint(self, kind: str, document: Document, number: int, fingerprint: int | None, worth: int) -> None:
        if kind in self._kinds and fingerprint is not None:
            self._row(kind, fingerprint, number, document.key, worth)

    def _row(self, kind: str, *values: Any) -> None:
        for column, value in zip(self._columns[kind], values, strict=True):
            column.append(value)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    offsets = np.cumsum([0, *(len(value) for value in values)])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(np.concatenate([np.empty(0, np.uint64), *values]))
    )


def take_notes(
    shard: int, documents: Iterable[Document | None], kinds: Collection[str], benchmarks: Benchmarks
) -> Notes:
    """The evidence of `documents`, those of a shard by their places; None stands for one that has left."""
    notes = Notes(kinds, benchmarks)
    for place, document in enumerate(documents):
        if document is not None:
            notes.add(document, document_number(shard, place))
    return notes
