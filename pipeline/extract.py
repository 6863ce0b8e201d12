"""HTML in, text and images in reading order out: pure, without network, clock or global state.

    python -m pipeline.extract --url URL FILE...
    python -m pipeline.extract --manifest pages.jsonl

prints one line of JSON a file, in order. A file may be gzipped.
"""

import argparse
import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.command import REFUSED, InputError
from pipeline.addresses import canonical
from pipeline.candidates import image_addresses, is_placeholder
from pipeline.markup import MOST_BYTES, base_address, decode, directives, parse, strings
from pipeline.salience import content_of
from pipeline.segments import Segments, cut


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBlock:
    text: str
    caption: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """A picture that the page names, not fetched yet."""

    url: str
    alternatives: tuple[str, ...] = ()
    """Other addresses that the page gives for the same picture, the best first."""
    alt: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page says, in reading order."""

    url: str
    title: str
    language: str
    blocks: tuple[TextBlock | ImageReference, ...]
    base: str
    """What the page's relative addresses are relative to."""
    links: tuple[str, ...]
    """Targets of all links of the page as they are written, each once, also of those around the content."""
    directives: frozenset[str]
    """What `<meta name=robots>` asks for: noindex, noai, noimageai, noimageindex."""
    encoding: str


def extract(html: bytes, url: str, content_type: str | None = None) -> Page:
    """The content of the page `html` that was found at `url`; never raises, whatever the bytes are."""
    html = html[:MOST_BYTES]
    text, encoding = decode(html, content_type)
    tree = parse(text)
    base = base_address(tree, url)
    segments = cut(tree)
    return Page(
        url=url,
        title=_folded(" ".join(strings(tree, "//head/title[1]//text()"))),
        language=next(iter(strings(tree, "/html/@lang")), "").strip().lower(),
        blocks=tuple(_merge(_content(segments, html, url, base))),
        base=base,
        links=tuple(dict.fromkeys(strings(tree, "//a/@href"))),
        directives=directives(tree),
        encoding=encoding,
    )


def _content(segments: Segments, html: bytes, url: str, base: str) -> Iterator[TextBlock | ImageReference]:
    """The segments that belong to the content, as blocks."""
    keep = content_of(segments, html, url) if len(segments) else ()
    for kept, text, image, caption in zip(keep, segments.texts, segments.elements, segments.captions, strict=True):
        if not kept:
            continue
        if image is None:
            yield TextBlock(text=text, caption=caption)
        else:
            yield from _reference(image, base)


def _reference(image: Any, base: str) -> Iterator[ImageReference]:
    addresses = (canonical(address, base) for address in image_addresses(image) if not is_placeholder(address))
    urls = tuple(dict.fromkeys(filter(None, addresses)))
    if urls:
        alt, title = _folded(image.get("alt", "")), _folded(image.get("title", ""))
        yield ImageReference(url=urls[0], alternatives=urls[1:], alt=alt, title=title)


def _merge(blocks: Iterator[TextBlock | ImageReference]) -> Iterator[TextBlock | ImageReference]:
    """Joins paragraphs that no image and no caption separates, and names each picture once."""
    pending: list[str] = []
    seen: set[str] = set()
    for block in blocks:
        if isinstance(block, TextBlock) and not block.caption:
            pending.append(block.text)
        elif isinstance(block, TextBlock) or block.url not in seen:
            if pending:
                yield TextBlock(text="\n\n".join(pending))
                pending = []
            if isinstance(block, ImageReference):
                seen.add(block.url)
            yield block
    if pending:
        yield TextBlock(text="\n\n".join(pending))


def _folded(text: str) -> str:
    return " ".join(text.split())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.extract",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="a page as it was served")
    parser.add_argument("--url", default="http://localhost/", help="the address that the files were found at")
    parser.add_argument("--manifest", help="lines of JSON with id, url and file, instead of --url and FILE")
    parser.add_argument("--types", default="text,image", help="the blocks to print (default: text,image)")
    arguments = parser.parse_args(argv)
    types = set(arguments.types.split(","))
    try:
        if not types <= {"text", "image"}:
            raise InputError(f"--types is {arguments.types!r}; it must name text, image or both, separated by a comma")
        for name, url, path in _named_pages(arguments.files, arguments.url, arguments.manifest):
            print(json.dumps(_record(name, extract(_read(path), url), types), ensure_ascii=False))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    return 0


def _named_pages(files: Sequence[str], url: str, manifest: str | None) -> Iterator[tuple[str, str, Path]]:
    """Id, address and path of each page. Raises InputError if there is none or the manifest cannot be read."""
    if bool(files) == bool(manifest):
        raise InputError("give either files or --manifest")
    if not manifest:
        yield from ((file, url, Path(file)) for file in files)
        return
    try:
        lines = Path(manifest).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--manifest {manifest} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            page = str(record["id"]), str(record["url"]), Path(manifest).parent / record["file"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{manifest}, line {number}: {error!r}; it must be a JSON object with id, url and file"
            ) from None
        yield page


def _read(path: Path) -> bytes:
    """The page in the file, unpacked where it is gzipped, and no longer than is extracted."""
    try:
        data = path.read_bytes()
        if not data.startswith(b"\x1f\x8b"):
            return data
        with gzip.open(path) as file:
            return file.read(MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _record(name: str, page: Page, types: set[str]) -> dict[str, object]:
    blocks = [
        {"type": "text", "text": block.text, "caption": block.caption}
        if isinstance(block, TextBlock)
        else {
            "type": "image",
            "url": block.url,
            "alternatives": block.alternatives,
            "alt": block.alt,
            "title": block.title,
        }
        for block in page.blocks
    ]
    return {
        "id": name,
        "url": page.url,
        "title": page.title,
        "language": page.language,
        "blocks": [block for block in blocks if block["type"] in types],
    }


if __name__ == "__main__":
    raise SystemExit(main())
