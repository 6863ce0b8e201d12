"""Documents and manifests as HTML, for notebooks and reports: pictures in place between their texts.

Whatever a page said is escaped, so no text, address or fact can bring markup of its own; pictures are data URIs,
so nothing is fetched. Colours are mixed from the text's own, which suits a light and a dark ground.
"""

from base64 import b64encode
from collections.abc import Iterable
from html import escape

from shards.document import Block, Document, Frame, Media, Text
from shards.manifest import Manifest

STYLE = """<style>
.document { line-height: 1.5; overflow-wrap: anywhere; }
.document h3 { margin: 0; font-size: 1.05em; }
.document .origin { margin: .1em 0 1em; font-size: .85em; opacity: .7; }
.document p { margin: .6em 0; max-width: 44em; }
.document .caption { padding-left: .7em; border-left: 3px solid color-mix(in srgb, currentColor 35%, transparent);
  font-style: italic; }
.document .caption::before { content: "caption "; font: normal .75em sans-serif; letter-spacing: .04em; opacity: .6; }
.document img { max-width: min(100%, 24em); max-height: 15em; margin: 0; }
.document .film { display: flex; flex-wrap: wrap; gap: .5em; margin: .6em 0; }
.document .film figure { margin: 0; }
.document .film img { width: 6em; display: block; }
.document .film figcaption { font-size: .8em; opacity: .7; text-align: center; font-variant-numeric: tabular-nums; }
.bars { border-collapse: collapse; width: 100%; max-width: 44em; font-variant-numeric: tabular-nums; }
.bars th, .bars td { padding: .15em .8em .15em 0; border: 0; font-weight: normal; text-align: left; }
.bars td.number { text-align: right; width: 1%; }
.bars th { width: 1%; white-space: nowrap; }
.bars span { display: block; height: .7em; background: color-mix(in srgb, currentColor 40%, transparent); }
</style>"""
"""The look of what this file makes; put it once into a page or a notebook's output."""


def document_html(document: Document) -> str:
    """The document's title and source, then its blocks in order: captions marked, videos as strips of frames."""
    noted = {name: fact for name, fact in document.facts.items() if name != "title"}
    noted |= {name: f"{measure:g}" for name, measure in document.measures.items()}
    origin = " · ".join([document.source, *(f"{name} {value}" for name, value in noted.items())])
    title = document.facts.get("title", "")
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    blocks = "\n".join(block_html(block) for block in document.blocks)
    return f'<article class="document">{heading}<p class="origin">{escape(origin)}</p>\n{blocks}</article>'


def block_html(block: Block) -> str:
    """A text as paragraphs, an image, or a video as a strip of frames with their seconds."""
    if isinstance(block, Text):
        kind = ' class="caption"' if block.caption else ""
        return "".join(f"<p{kind}>{escape(paragraph)}</p>" for paragraph in block.text.split("\n\n"))
    if block.kind == "image":
        return f"<p>{_picture(block, block.frames[0])}</p>"
    frames = (
        f"<figure>{_picture(block, frame)}<figcaption>{frame.seconds:g} s</figcaption></figure>"
        for frame in block.frames
    )
    return f'<div class="film">{"".join(frames)}</div>'


def _picture(media: Media, frame: Frame) -> str:
    said = " · ".join(filter(None, [media.title, media.url, f"{frame.width} x {frame.height} px"]))
    return f'<img src="{data_uri(frame.data, frame.format)}" alt="{escape(media.alt)}" title="{escape(said)}">'


def data_uri(data: bytes, format: str) -> str:
    """The address that holds an encoded picture itself; `format` is jpg, png, webp or gif."""
    return f"data:image/{'jpeg' if format == 'jpg' else format};base64,{b64encode(data).decode()}"


def funnel_html(manifest: Manifest) -> str:
    """What the job saw and kept, then what it dropped by reason, as bars to one scale."""
    dropped = [(f"dropped: {reason}", count) for reason, count in manifest.drops.items()]
    return bars_html([*manifest.counts.items(), *dropped])


def bars_html(rows: Iterable[tuple[str, float]]) -> str:
    """A table of names and numbers, each number with a bar; the longest bar is the greatest number's."""
    rows = list(rows)
    greatest = max((number for _, number in rows), default=0) or 1
    lines = (
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{number:,}</td>'
        f'<td><span style="width: {100 * number / greatest:.1f}%"></span></td></tr>'
        for name, number in rows
    )
    return f'<table class="bars">{"".join(lines)}</table>'
