"""Documents that are the same by their address, their text or their images: one of each is kept."""

import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.addresses import canonical
from pipeline.curation.columns import Numbers, Ties, best_of_each, hashes_in, leaving, numbers_in
from pipeline.curation.decisions import decide, without
from shards.document import Document

WORD = re.compile(r"\w+")
STRETCH = re.compile(r"#t=[\d.]+,[\d.]+\Z", re.ASCII)
"""A part of a video, as `pipeline.video --per clip` names it (w3.org/TR/media-frags): it is no copy of another part."""
SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.uint64(), nullable=False),  # of what has to be the same
        pa.field("document", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("worth", pa.int64(), nullable=False),  # of documents that are the same the greatest is kept
    ]
)
"""The columns of the evidence."""


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case, runs of letters, digits and underscores: what documents are compared by."""
    return WORD.findall(text.lower())


def fingerprint(content: bytes) -> int:
    """64 bits of a hash of `content`: of 100 million different contents any two agree with a chance of 0.0003."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


@lru_cache(maxsize=100_000)
def word_fingerprint(word: str) -> int:
    return fingerprint(word.encode("utf-8", "surrogatepass"))


def address_of(document: Document) -> str:
    """The address that the page of `document` calls its own, or the one that it came from.

    A page that calls the home page of a host its own is not believed: whole sites do, by mistake.
    """
    if STRETCH.search(document.source):
        return document.source
    said = canonical(document.facts.get("canonical") or "#", document.source) or ""
    if not urlsplit(said)._replace(scheme="", netloc="").geturl().strip("/"):
        said = ""
    return said or canonical(document.source) or document.source


def published(document: Document) -> int:
    """When `document` says it was published, in seconds since 1970 (UTC); -2**62 if it says no ISO 8601 date."""
    try:
        said = datetime.fromisoformat(document.facts.get("published", ""))
    except ValueError:
        return -(2**62)
    return int((said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp())


def address_fingerprint(document: Document) -> int:
    return fingerprint(address_of(document).encode("utf-8", "surrogatepass"))


def richness(document: Document, words: int) -> int:
    """A number by which documents are ordered: more media first, then more words."""
    return len(document.media) << 32 | words


def text_fingerprint(words: list[str]) -> int | None:
    """Of the text, whatever its case, punctuation and white space; None without a word."""
    return fingerprint(" ".join(words).encode("utf-8", "surrogatepass")) if words else None


def image_set_fingerprint(document: Document) -> int | None:
    """Of the set of the images' bytes, whatever their order; None without an image."""
    digests = {hashlib.sha256(frame.data).digest() for media in document.media for frame in media.frames}
    return fingerprint(b"".join(sorted(digests))) if digests else None


def find_copies(rows: pa.Table, dropped: Numbers, reason: str, ties: Ties = "first") -> pa.Table:
    """Decisions on all documents of equal fingerprint in `rows` but the one that is kept, as `best_of_each` has it.

    Documents in `dropped` count as gone.
    """
    rows = without(rows, dropped)
    best = best_of_each(hashes_in(rows, "fingerprint"), numbers_in(rows, "worth"), numbers_in(rows, "document"), ties)
    places = leaving(best)
    return decide(rows.take(places), reason, other=rows["key"].take(best[places]))
