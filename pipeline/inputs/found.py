"""Pages that others found and extracted: what the readers of such sets have in common."""

from collections.abc import Iterable

from pipeline.addresses import canonical
from pipeline.page import Block, ImageReference, Page
from shards.foreign.records import BadRecord

Found = tuple[str, Page]
"""The address of a page, and the page."""


def address_of(value: object) -> str:
    """The address of a page, canonical. Raises BadRecord, `bad_address`."""
    address = canonical(value) if isinstance(value, str) else None
    if address is None:
        raise BadRecord("bad_address")
    return address


def image_at(url: object, page: str, *alternatives: object, alt: object = "") -> ImageReference:
    """The image that a record of `page` gives these addresses. Raises BadRecord, `malformed`."""
    if not isinstance(url, str):
        raise BadRecord("malformed")
    others = [canonical(other, page) for other in alternatives if isinstance(other, str)]
    # An address that cannot be asked for stays as it is, so that whoever asks counts it.
    first = canonical(url, page) or url
    return ImageReference(
        url=first,
        alternatives=tuple(dict.fromkeys(other for other in others if other and other != first)),
        alt=alt if isinstance(alt, str) else "",
    )


def english_page(address: str, blocks: Iterable[Block]) -> Found:
    """A page of a set that holds English alone, and tells nothing of its pages but their blocks."""
    page = Page(
        url=address,
        title="",
        language="en",
        blocks=tuple(blocks),
        base=address,
        links=(),
        directives=frozenset(),
        encoding="utf-8",
        encoding_reason="utf-8",
    )
    return address, page
