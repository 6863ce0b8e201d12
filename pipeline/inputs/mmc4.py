"""MMC4: a JSON object a page, with its sentences, and its images each matched to one of them.

The files are read as github.com/allenai/mmc4 describes them: `.jsonl`, also compressed (.gz, .zst) or in a .zip as they
are handed out; and the image shards that OpenFlamingo makes of them, `.tar` files of such objects in which an image
holds its own bytes (`image_base64`). What is mended: the images stand in the file in no order, and here each before the
sentence that it is matched to; and OpenFlamingo writes the base64 as Python prints it, `b'...'`.
"""

import base64
import io
import itertools
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, TypeGuard, TypeVar, cast

import pyarrow as pa

from pipeline.door import Fetched, FetchError
from pipeline.fetching.opt_out import NOBODY, OptOut
from pipeline.inputs.found import Found, address_of, english_page, image_at
from pipeline.page import Block, TextBlock
from shards.errors import DatasetError
from shards.foreign.records import BadRecord, parsed
from shards.location import Location

Kind = TypeVar("Kind")
DAMAGE = (OSError, EOFError, pa.ArrowException, zipfile.BadZipFile, tarfile.TarError, zlib.error)
"""What reading a cut or broken file raises."""


class HeldImages:
    """A door to the images that came with their pages."""

    def __init__(self, opt_out: OptOut = NOBODY) -> None:
        self._held = dict[str, bytes]()
        self._opt_out = opt_out

    def hold(self, url: str, data: bytes) -> None:
        self._held[url] = data

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        """The image that was held for `url`. Raises FetchError: `opted_out`, `not_in_archive`, `too_large`."""
        if self._opt_out.refuses(url):
            raise FetchError("opted_out")
        data = self._held.get(url)
        if data is None:
            raise FetchError("not_in_archive")
        if len(data) > most_bytes:
            raise FetchError("too_large")
        return Fetched(url=url, content_type="", data=data)


def count_objects(file: Location) -> tuple[int, str]:
    """How many objects `file` holds, and a sentence if they end in a cut. Raises DatasetError if there is none."""
    count = 0
    try:
        for _ in _objects(file):
            count += 1
    except DAMAGE as error:
        if not count:
            raise DatasetError(f"{file} cannot be read: {error}") from None
        return count, f"{file} is cut or broken after {count} pages, which were kept: {error}"
    return count, ""


def read_objects(file: Location, start: int, stop: int) -> Iterator[bytes]:
    """Objects `start` to `stop` of `file`, as JSON; what stands behind them is not looked at."""
    return itertools.islice(_objects(file), start, stop)


def page_of_object(text: bytes, held: HeldImages) -> Found:
    """The page of an object; images that it brings along go to `held`. Raises BadRecord: `malformed`, `bad_address`."""
    record = parsed(text, dict)
    sentences, images = record.get("text_list"), record.get("image_info")
    if not _all_are(sentences, str) or not _all_are(images, dict):
        raise BadRecord("malformed")
    address = address_of(record.get("url"))
    return english_page(address, _interleaved(sentences, images, address, held))


def _interleaved(
    sentences: Sequence[str], images: Sequence[Mapping[str, Any]], address: str, held: HeldImages
) -> Iterator[Block]:
    """Each image before its sentence, and the sentences between two images as one text."""
    begin = 0
    for image in sorted(images, key=_place):
        place = min(_place(image), len(sentences))
        yield from _text(sentences[begin:place])
        begin = place
        reference = image_at(image.get("raw_url"), address)
        if isinstance(text := image.get("image_base64"), str):
            held.hold(reference.url, _decoded(text))
        yield reference
    yield from _text(sentences[begin:])


def _text(sentences: Sequence[str]) -> Iterator[TextBlock]:
    if text := " ".join(sentences).strip():
        yield TextBlock(text=text)


def _place(image: Mapping[str, Any]) -> int:
    place = image.get("matched_text_index")
    if not isinstance(place, int) or place < 0:
        raise BadRecord("malformed")
    return place


def _all_are(values: object, kind: type[Kind]) -> TypeGuard[list[Kind]]:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _decoded(text: str) -> bytes:
    """The bytes of an image; none, which no image has, if they cannot be had."""
    try:
        return base64.b64decode(text.removeprefix("b'").removesuffix("'"), validate=True)
    except ValueError:
        return b""


def _objects(file: Location) -> Iterator[bytes]:
    """The JSON objects of `file`. Raises one of DAMAGE."""
    if file.name.endswith(".zip"):
        with file.filesystem.open_input_file(file.path) as source, zipfile.ZipFile(cast(IO[bytes], source)) as archive:
            for name in archive.namelist():
                with archive.open(name) as lines:
                    yield from filter(bytes.strip, lines)
    elif file.name.endswith(".tar"):
        yield from _members(file)
    else:
        with file.filesystem.open_input_stream(file.path, compression="detect") as source:
            yield from filter(bytes.strip, io.BufferedReader(cast(io.RawIOBase, source)))


def _members(file: Location) -> Iterator[bytes]:
    with (
        file.filesystem.open_input_stream(file.path, compression=None) as source,
        tarfile.open(fileobj=cast(IO[bytes], source), mode="r|") as archive,
    ):
        for member in archive:
            if member.name.endswith(".json") and (data := archive.extractfile(member)):
                yield data.read()
