"""HTML in, text and media in reading order out: pure, without network, clock or global state.

    python -m pipeline.extract --url URL FILE...
    python -m pipeline.extract --manifest pages.jsonl

prints one line of JSON a file, in order. A file may be gzipped.
"""

import argparse
import dataclasses
import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.command import REFUSED, InputError
from pipeline.extraction.blocks import blocks_of
from pipeline.extraction.containers import containers_of
from pipeline.extraction.encodings import MOST_BYTES, decode
from pipeline.extraction.head import read_head
from pipeline.extraction.markup import parse
from pipeline.extraction.salience import Models, content_of
from pipeline.extraction.segments import cut
from pipeline.page import Block, ImageReference, Page, TextBlock

TYPES = ("text", "image", "video", "player", "audio")


def extract(
    html: bytes, url: str, content_type: str | None = None, *, backgrounds: bool = False, models: Models | None = None
) -> Page:
    """The content of the page `html` that was found at `url`; never raises, whatever the bytes are.

    `content_type` is the header that came with it, `backgrounds` takes pictures of inline styles for pictures too, and
    `models` judge what is content instead of those that come with the project.
    """
    decoded = decode(html, content_type)
    tree = parse(decoded.utf_8)
    head = read_head(tree, url)
    segments, taken_out = cut(decoded.utf_8, tree, backgrounds=backgrounds)
    containers = containers_of(segments)
    keep = content_of(segments, containers, head.description, url, models).tolist() if len(segments) else []
    blocks, left_out = blocks_of(segments, containers, keep, head.base, head.licences)
    left_out.update(taken_out, page_cut=int(len(html) > MOST_BYTES or segments.is_cut))
    return Page(
        url=url,
        title=head.title,
        language=head.language,
        blocks=blocks,
        base=head.base,
        links=head.links,
        directives=head.directives,
        encoding=decoded.encoding,
        encoding_reason=decoded.reason,
        canonical=head.canonical,
        published=head.published,
        licence=head.licence,
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.extract",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="a page as it was served")
    parser.add_argument("--url", default="http://localhost/", help="the address that the files were found at")
    parser.add_argument("--manifest", help="lines of JSON with id, url and file, instead of --url and FILE")
    parser.add_argument("--types", default=",".join(TYPES), help=f"the blocks to print (default: {','.join(TYPES)})")
    parser.add_argument("--backgrounds", action="store_true", help="take pictures of inline styles too")
    arguments = parser.parse_args(argv)
    types = set(arguments.types.split(","))
    try:
        if not types <= set(TYPES):
            raise InputError(f"--types is {arguments.types!r}; it must name some of {', '.join(TYPES)}")
        for name, url, path in _named_pages(arguments.files, arguments.url, arguments.manifest):
            page = extract(_read(path), url, backgrounds=arguments.backgrounds)
            print(json.dumps(_record(name, page, types), ensure_ascii=False))
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
    """The page as JSON; the targets of its links, which are for crawlers, are left out."""
    blocks = [(_type(block), dataclasses.asdict(block)) for block in page.blocks]
    return {
        "id": name,
        "url": page.url,
        "title": page.title,
        "language": page.language,
        "canonical": page.canonical,
        "published": page.published,
        "licence": page.licence,
        "encoding": page.encoding,
        "encoding_reason": page.encoding_reason,
        "directives": sorted(page.directives),
        "left_out": dict(page.left_out),
        "blocks": [{"type": kind} | block for kind, block in blocks if kind in types],
    }


def _type(block: Block) -> str:
    if isinstance(block, TextBlock):
        return "text"
    return "image" if isinstance(block, ImageReference) else block.kind


if __name__ == "__main__":
    raise SystemExit(main())
