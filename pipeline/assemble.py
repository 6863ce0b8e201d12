"""From a page and the pictures that came for it to a document, with every drop counted."""

from collections.abc import Mapping

from pipeline.images import Picture
from pipeline.page import ImageReference, Page, TextBlock, VideoReference
from pipeline.rules.text import word_count
from shards.chunk import Tally
from shards.document import Block, Document, Media, Text, document_key


def wanted_images(page: Page, min_words: int, tally: Tally) -> list[ImageReference]:
    """The pictures to get for `page`, none if the page is dropped before that.

    Counts the reason: `meta_noindex`, `meta_noai`, `meta_noimageai` and the like, `few_words`, `no_images`.
    """
    if page.directives:
        tally.drop(f"page_meta_{min(page.directives)}")
        return []
    if word_count(" ".join(block.text for block in page.blocks if isinstance(block, TextBlock))) < min_words:
        tally.drop("page_few_words")
        return []
    images = [block for block in page.blocks if isinstance(block, ImageReference)]
    if not images:
        tally.drop("page_no_images")
    return images


def assemble(address: str, page: Page, images: Mapping[str, Picture | str], tally: Tally) -> Document | None:
    """The document of the `page` that was asked for at `address`.

    `images` holds what came of each picture, or the reason why nothing did, by the address that the page prefers.

    A page that is left without an image is dropped as `page_images_dropped`.
    """
    blocks: list[Block] = []
    for block in page.blocks:
        if isinstance(block, TextBlock):
            _append_text(blocks, Text(text=block.text, caption=block.caption))
        elif isinstance(block, VideoReference):
            tally.drop(f"{block.kind}_not_fetched")
        elif isinstance(image := images[block.url], str):
            tally.drop(f"image_{image}")
        else:
            blocks.append(Media(kind="image", frames=(image.frame,), url=image.url, alt=block.alt, title=block.title))
    kept = sum(isinstance(block, Media) for block in blocks)
    if not kept:
        tally.drop("page_images_dropped")
        return None
    tally.count("images", kept)
    said = {"canonical": page.canonical, "published": page.published, "licence": page.licence}
    return Document(
        key=document_key("web", address),
        source=page.url,
        blocks=tuple(blocks),
        facts={"title": page.title, "language": page.language} | {name: fact for name, fact in said.items() if fact},
        measures={"words": float(sum(word_count(block.text) for block in blocks if isinstance(block, Text)))},
    )


def _append_text(blocks: list[Block], text: Text) -> None:
    """Texts between which no picture stands are one text, except a caption beside other text."""
    before = blocks[-1] if blocks else None
    if isinstance(before, Text) and before.caption == text.caption:
        blocks[-1] = Text(text=f"{before.text}\n\n{text.text}", caption=text.caption)
    else:
        blocks.append(text)
