"""Paragraphs that a domain repeats: its boilerplate, which no page shows by itself.

OBELICS (arXiv 2306.16527; build_obelics/09_04 and 09_05 of its code) drops a paragraph that occurs more than twice in
the pages of one host, character by character the same. Here it is counted in how many documents it occurs.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from pipeline.addresses import canonical
from pipeline.curation.columns import groups, hashes_in, numbers_in
from pipeline.curation.decisions import decide
from pipeline.curation.exact import fingerprint
from pipeline.curation.judge import paragraphs_of
from shards.document import Document

MOST_DOCUMENTS = 2
"""Documents of a host that may have a paragraph in common (OBELICS)."""
SCHEMA = pa.schema(
    [
        pa.field("line", pa.uint64(), nullable=False),  # of a host and a paragraph
        pa.field("document", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("paragraph", pa.int32(), nullable=False),  # its place among those of the document
    ]
)
"""The columns of the evidence."""


def line_rows(document: Document, number: int) -> Iterator[dict[str, object]]:
    """A row of the evidence for each paragraph of `document`, which has that number; none if it came from no host.

    A caption has none: it is said of its picture, and a list of pairs has the same for many.
    """
    host = urlsplit(canonical(document.source) or "").netloc
    captions = [text.caption for text in document.texts for _ in text.text.split("\n\n")]
    for place, paragraph in enumerate(paragraphs_of(document) if host else []):
        if captions[place]:
            continue
        line = fingerprint(f"{host}\0{paragraph}".encode("utf-8", "surrogatepass"))
        yield {"line": line, "document": number, "key": document.key, "paragraph": place}


def find_repeated(rows: pa.Table, most: int = MOST_DOCUMENTS) -> pa.Table:
    """Decisions on the paragraphs that are in more than `most` documents; the measure is in how many."""
    documents = numbers_in(rows, "document")
    counted = [(places, len(np.unique(documents[places]))) for places in groups(hashes_in(rows, "line"))]
    leaving = [(places, count) for places, count in counted if count > most]
    places = np.concatenate([np.empty(0, np.int64), *(places for places, _ in leaving)])
    counts = np.repeat([count for _, count in leaving], [len(places) for places, _ in leaving])
    return decide(rows.take(places), "host_documents_over", measure=counts, threshold=most)
