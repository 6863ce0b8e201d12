"""From a page and the pictures that came for it to a document, with every drop recorded."""

from collections.abc import Mapping

from pipeline.images import Picture
from pipeline.ledger import Record
from pipeline.page import ImageReference, Page, TextBlock, VideoReference
from pipeline.rules.text import word_count
from shards.document import Block, Document, Media, Text, document_key


def refusal(page: Page, min_words: int) -> str:
    """Why `page` is dropped before its pictures are asked for, or nothing.

    `meta_noindex`, `meta_noai`, `meta_noimageai` and the like, `few_words`, `no_images`.
    """
    if page.directives:
        return f"meta_{min(page.directives)}"
    if word_count(" ".join(block.text for block in page.blocks if isinstance(block, TextBlock))) < min_words:
        return "few_words"
    return "" if any(isinstance(block, ImageReference) for block in page.blocks) else "no_images"


def wanted_images(page: Page, most: int) -> list[ImageReference]:
    """The pictures to get for `page`, each once: the first `most` that it names."""
    references = dict[str, ImageReference]()
    for block in page.blocks:
        if isinstance(block, ImageReference):
            references.setdefault(block.url, block)
    return list(references.values())[:most]


def assemble(page: Page, images: Mapping[str, Picture | str], record: Record) -> Document | None:
    """The document of `page`; its key follows from the address that was asked for, which `record` holds.

    `images` holds what came of each picture, or the reason why nothing did, by the address that the page prefers. A
    picture that it lacks is dropped as `over_images_per_page`, one that the page shows again as `repeated`, and a page
    that is left without a picture as `images_dropped`.
    """
    blocks: list[Block] = []
    shown = set[str]()
    for block in page.blocks:
        if isinstance(block, TextBlock):
            append_text(blocks, Text(text=block.text, caption=block.caption))
        elif isinstance(block, VideoReference):
            record.drop(block.kind, "not_fetched", block.url)
        elif isinstance(image := _image(block, images, shown), str):
            record.drop("image", image, block.url)
        else:
            record.keep("image", block.url)
            blocks.append(Media(kind="image", frames=(image.frame,), url=image.url, alt=block.alt, title=block.title))
    if not any(isinstance(block, Media) for block in blocks):
        record.drop("page", "images_dropped")
        return None
    record.keep("page")
    record.key = document_key("web", record.page)
    said = {"canonical": page.canonical, "published": page.published, "licence": page.licence}
    return Document(
        key=record.key,
        source=page.url,
        blocks=tuple(blocks),
        facts={"title": page.title, "language": page.language} | {name: fact for name, fact in said.items() if fact},
        measures={"words": float(sum(word_count(block.text) for block in blocks if isinstance(block, Text)))},
    )


def _image(reference: ImageReference, images: Mapping[str, Picture | str], shown: set[str]) -> Picture | str:
    if reference.url in shown:
        return "repeated"
    shown.add(reference.url)
    return images.get(reference.url, "over_images_per_page")


def append_text(blocks: list[Block], text: Text) -> None:
    """Texts between which no picture stands are one text, except a caption beside other text."""
    before = blocks[-1] if blocks else None
    if isinstance(before, Text) and before.caption == text.caption:
        blocks[-1] = Text(text=f"{before.text}\n\n{text.text}", caption=text.caption)
    else:
        blocks.append(text)
