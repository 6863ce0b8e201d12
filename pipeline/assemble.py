"""From a page and the pictures that came for it to a document, with every drop recorded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pipeline.images import NoPicture, Picture
from pipeline.ledger import Entry, Record
from pipeline.page import Block as PageBlock
from pipeline.page import ImageReference, Page, TextBlock, VideoReference
from pipeline.page_videos import PageVideo, video_entry, wanted_videos
from pipeline.rules.text import TextResources, measure_document
from pipeline.text_rules import TextRules, held, judge_paragraphs
from shards.document import Block, Document, Media, Text, document_key

NO_VIDEOS: Mapping[str, PageVideo] = MappingProxyType({})


def refusal(page: Page, videos: bool = False) -> str:
    """Why `page` is dropped before its text is measured, or nothing; with `videos`, one of them will do for an image.

    `meta_noindex`, `meta_noai`, `meta_noimageai` and the like, `no_images`.
    """
    if page.directives:
        return f"meta_{min(page.directives)}"
    shows = any(isinstance(block, ImageReference) for block in page.blocks) or (videos and wanted_videos(page, 1))
    return "" if shows else "no_images"


def judge_text(page: Page, record: Record, rules: TextRules, resources: TextResources) -> tuple[Page, Entry]:
    """`page` without the paragraphs that `rules` drop, and its own entry, with measures, kept or dropped.

    The paragraphs get entries in `record` if there are rules on them; without, their measures are left to curation,
    where they cost no page's pictures any time.
    """
    if rules.paragraph:
        texts = [text for block in page.blocks if isinstance(block, TextBlock) for text in block.text.split("\n\n")]
        entries = [Entry(kind="paragraph", address=record.page, number=number) for number in range(len(texts))]
        judged = judge_paragraphs(entries, texts, rules, resources)
        record.entries += judged
        page = replace(page, blocks=tuple(_kept_blocks(page, [not entry.reason for entry in judged])))
    text = "\n\n".join(block.text for block in page.blocks if isinstance(block, TextBlock))
    return page, held(
        Entry(kind="page", address=record.page), measure_document(text, page.url, resources), rules.document
    )


def wanted_images(page: Page, most: int) -> list[ImageReference]:
    """The pictures to get for `page`, each once: the first `most` that it names."""
    references = dict[str, ImageReference]()
    for block in page.blocks:
        if isinstance(block, ImageReference):
            references.setdefault(block.url, block)
    return list(references.values())[:most]


def assemble(
    page: Page,
    images: Mapping[str, Picture | NoPicture],
    record: Record,
    measures: Mapping[str, float],
    videos: Mapping[str, PageVideo] = NO_VIDEOS,
) -> Document | None:
    """The document of `page`; its key follows from the address that was asked for, which `record` holds.

    `images` holds what came of each picture, or the reason why nothing did, by the address that the page prefers. A
    picture that it lacks is dropped as `over_images_per_page`, one that the page shows again as `repeated`, and a page
    that is left without a picture as `images_dropped`. `measures` are those of its text. `videos` likewise; one that it
    lacks is dropped as `not_fetched`.
    """
    blocks: list[Block] = []
    shown = set[str]()
    for block in page.blocks:
        if isinstance(block, TextBlock):
            append_text(blocks, Text(text=block.text, caption=block.caption))
        elif isinstance(block, VideoReference):
            video = videos.get(block.url)
            record.entries.append(video_entry(block, video))
            if video and video.sampled:
                blocks.append(Media(kind="video", frames=video.sampled.frames, url=video.url, title=block.title))
        else:
            image = _image(block, images, shown)
            record.entries.append(image_entry(block.url, image))
            if isinstance(image, Picture):
                named = {"url": image.url, "alt": block.alt, "title": block.title}
                blocks.append(Media(kind="image", frames=(image.frame,), **named))
    reason = "" if any(isinstance(block, Media) for block in blocks) else "images_dropped"
    record.entries.append(Entry(kind="page", address=record.page, reason=reason, measures=measures))
    if reason:
        return None
    record.key = document_key("web", record.page)
    said = {"canonical": page.canonical, "published": page.published, "licence": page.licence}
    return Document(
        key=record.key,
        source=page.url,
        blocks=tuple(blocks),
        facts={"title": page.title, "language": page.language} | {name: fact for name, fact in said.items() if fact},
        measures=measures,
    )


def _kept_blocks(page: Page, stays: Sequence[bool]) -> Iterator[PageBlock]:
    """The blocks of `page` with those paragraphs that stay, of which `stays` tells in order."""
    upcoming = iter(stays)
    for block in page.blocks:
        if not isinstance(block, TextBlock):
            yield block
        elif left := [text for text in block.text.split("\n\n") if next(upcoming)]:
            yield replace(block, text="\n\n".join(left))


def image_entry(address: str, image: Picture | NoPicture) -> Entry:
    """What became of the image at `address`, with its measures, or with the one that was out of bounds."""
    if isinstance(image, Picture):
        return Entry(kind="image", address=address, measures=image.measures)
    return Entry(kind="image", address=address, reason=image.reason, measure=image.measure, threshold=image.threshold)


def _image(
    reference: ImageReference, images: Mapping[str, Picture | NoPicture], shown: set[str]
) -> Picture | NoPicture:
    if reference.url in shown:
        return NoPicture(reason="repeated")
    shown.add(reference.url)
    return images.get(reference.url, NoPicture(reason="over_images_per_page"))


def append_text(blocks: list[Block], text: Text) -> None:
    """Texts between which no picture stands are one text, except a caption beside other text."""
    before = blocks[-1] if blocks else None
    if isinstance(before, Text) and before.caption == text.caption:
        blocks[-1] = Text(text=f"{before.text}\n\n{text.text}", caption=text.caption)
    else:
        blocks.append(text)
