"""MMC4: a JSON object a page, with its sentences, and its images each matched to one of them.

An image's bytes are in the object (`image_base64`, as OpenFlamingo's shards have it) or in a folder under its
`image_name` (github.com/allenai/mmc4). The images stand in the file in no order; here each stands before the sentence
that it is matched to.
"""

import base64
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, cast

from shards.document import Document, Media, Text, document_key
from shards.errors import DatasetError
from shards.foreign.records import BadRecord, frame_of, parsed, storable, texts_in
from shards.location import Location

IMAGE_NAME = re.compile(r"[0-9A-Za-z_-]+\.[0-9A-Za-z]+")


def line_places(file: Location) -> Iterator[tuple[int, int]]:
    """Where each object of a `.jsonl` file begins, and its size, in bytes."""
    with file.open() as stream:
        offset = 0
        for line in cast(io.BufferedReader, stream):
            if line.strip():
                yield offset, len(line)
            offset += len(line)


def page_of(data: bytes, images: Location | None, drops: Counter[str]) -> Document:
    """The page of one object; an image that is not there, or no picture, is counted in `drops`.

    Raises BadRecord: `malformed`, `no_image`.
    """
    record = parsed(data, dict)
    url, sentences = record.get("url"), texts_in(record.get("text_list"))
    infos = record.get("image_info")
    if not isinstance(url, str) or not isinstance(infos, list) or None in sentences:
        raise BadRecord("malformed")
    blocks, begin = list[Text | Media](), 0
    for info in sorted(cast(list[Any], infos), key=_place):
        try:
            frame = frame_of(_bytes_of(info, images))
        except BadRecord as bad:
            drops[f"image_{bad.reason}"] += 1
            continue
        place = min(_place(info), len(sentences))
        blocks += _text(sentences[begin:place])
        begin = max(begin, place)
        blocks.append(Media(kind="image", frames=(frame,), url=storable(str(info.get("raw_url") or ""))))
    blocks += _text(sentences[begin:])
    if not any(isinstance(block, Media) for block in blocks):
        raise BadRecord("no_image")
    return Document(key=document_key(url), source=storable(url), blocks=tuple(blocks))


def _text(sentences: list[str | None]) -> list[Text]:
    text = " ".join(cast(list[str], sentences)).strip()
    return [Text(text=text)] if text else []


def _place(info: Any) -> int:
    place = cast(Mapping[str, Any], info).get("matched_text_index") if isinstance(info, dict) else None
    if not isinstance(place, int) or place < 0:
        raise BadRecord("malformed")
    return place


def _bytes_of(info: Mapping[str, Any], images: Location | None) -> bytes:
    """Raises BadRecord: `malformed`, `absent`."""
    if isinstance(text := info.get("image_base64"), str):
        try:
            # OpenFlamingo writes the base64 as Python prints it: b'...'
            return base64.b64decode(text.removeprefix("b'").removesuffix("'"), validate=True)
        except ValueError:
            raise BadRecord("malformed") from None
    name = info.get("image_name")
    if images is None or not isinstance(name, str) or not IMAGE_NAME.fullmatch(name):
        raise BadRecord("absent")
    try:
        return (images / name).read()
    except DatasetError:
        raise BadRecord("absent") from None
