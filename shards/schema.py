"""How a document lies in JSON, written and read in one place, and checked when it is read."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_args

from shards.document import Block, Document, Frame, ImageFormat, Media, Text
from shards.errors import DatasetError

SCHEMA_VERSION = 1
DOCUMENT_FIELDS = frozenset({"version", "key", "source", "blocks", "facts", "measures"})
TEXT_FIELDS = frozenset({"type", "text", "caption"})
MEDIA_FIELDS = frozenset({"type", "url", "alt", "title", "frames"})
FRAME_FIELDS = frozenset({"member", "width", "height", "seconds"})
Value = TypeVar("Value")


def member_names(document: Document) -> list[str]:
    """The tar members of the frames of `document`, in order: `{key}.{n}.{format}`."""
    frames = [frame for media in document.media for frame in media.frames]
    return [f"{document.key}.{n}.{frame.format}" for n, frame in enumerate(frames)]


def encode_document(document: Document) -> bytes:
    """The JSON member of `document`: sorted keys, UTF-8, no bytes of its frames."""
    members = iter(member_names(document))
    record = {
        "version": SCHEMA_VERSION,
        "key": document.key,
        "source": document.source,
        "blocks": [_encode_block(block, members.__next__) for block in document.blocks],
        "facts": dict(document.facts),
        "measures": dict(document.measures),
    }
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False)
    # A lone surrogate, which a page can hold, has no UTF-8; it becomes "?" rather than a shard that cannot be read.
    return text.encode("utf-8", "replace")


def _encode_block(block: Block, next_member: Callable[[], str]) -> dict[str, object]:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text, "caption": block.caption}
    frames = [
        {"member": next_member(), "width": frame.width, "height": frame.height, "seconds": frame.seconds}
        for frame in block.frames
    ]
    return {"type": block.kind, "url": block.url, "alt": block.alt, "title": block.title, "frames": frames}


def decode_document(data: bytes, members: Mapping[str, bytes], where: str) -> Document:
    """The document whose JSON is `data` and whose frames are `members`, by name.

    Raises DatasetError naming `where` and the field if the JSON breaks the schema, or its frames are not `members`.
    """
    record = parse_object(data, where)
    check_version(_field(record, "version", int, where), where)
    _refuse_unknown(record, DOCUMENT_FIELDS, where)
    left = dict(members)
    document = Document(
        key=_field(record, "key", str, where),
        source=_field(record, "source", str, where),
        blocks=tuple(
            _decode_block(block, left, f"{where}, block {n}")
            for n, block in enumerate(_records(record, "blocks", where))
        ),
        facts=_mapping(record, "facts", str, where),
        measures=_mapping(record, "measures", float, where),
    )
    if left:
        raise DatasetError(f"{where}: member {min(left)!r} is named by none of its blocks")
    return document


def check_version(version: int, where: str) -> None:
    """Raises DatasetError if this program cannot read schema `version`: older ones it reads, newer ones it does not."""
    if version > SCHEMA_VERSION:
        raise DatasetError(
            f"{where} has schema version {version} and this program reads up to {SCHEMA_VERSION}; "
            "install a newer Flamboyance"
        )
    if version < 1:
        raise DatasetError(f"{where} has schema version {version}; versions begin with 1")


def _decode_block(record: dict[str, Any], members: dict[str, bytes], where: str) -> Block:
    kind = _field(record, "type", str, where)
    if kind == "text":
        _refuse_unknown(record, TEXT_FIELDS, where)
        return Text(text=_field(record, "text", str, where), caption=_field(record, "caption", bool, where))
    if kind != "image" and kind != "video":
        raise DatasetError(f"{where}: type is {kind!r}; it must be 'text', 'image' or 'video'")
    _refuse_unknown(record, MEDIA_FIELDS, where)
    frames = tuple(_decode_frame(frame, members, where) for frame in _records(record, "frames", where))
    texts = {name: _field(record, name, str, where) for name in ("url", "alt", "title")}
    try:
        return Media(kind=kind, frames=frames, **texts)
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from None


def _decode_frame(record: dict[str, Any], members: dict[str, bytes], where: str) -> Frame:
    """The frame whose bytes are one of `members`, from which it is taken."""
    _refuse_unknown(record, FRAME_FIELDS, where)
    member = _field(record, "member", str, where)
    suffix = member.rpartition(".")[2]
    if suffix not in get_args(ImageFormat):
        raise DatasetError(f"{where}: member {member!r} is none of {', '.join(get_args(ImageFormat))}")
    data = members.pop(member, None)
    if data is None:
        raise DatasetError(f"{where}: member {member!r} is not in the shard, or two frames name it")
    return Frame(
        data=data,
        format=cast(ImageFormat, suffix),
        width=_pixels(record, "width", where),
        height=_pixels(record, "height", where),
        seconds=_field(record, "seconds", float, where),
    )


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object that `data` is. Raises DatasetError naming `where` if it is none."""
    try:
        record = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise DatasetError(f"{where} is not a JSON object")
    return cast(dict[str, Any], record)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _refuse_unknown(record: Mapping[str, Any], fields: frozenset[str], where: str) -> None:
    if unknown := record.keys() - fields:
        raise DatasetError(f"{where}: field {min(unknown)!r} is not of schema version {SCHEMA_VERSION}")


def _pixels(record: Mapping[str, Any], name: str, where: str) -> int:
    number = _field(record, name, int, where)
    if number < 1:
        raise DatasetError(f"{where}: field {name!r} is {number}; it must be at least 1")
    return number


def _field(record: Mapping[str, Any], name: str, kind: type[Value], where: str) -> Value:
    value = record.get(name)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise DatasetError(f"{where}: field {name!r} is {value!r}; it must be of type {kind.__name__}")
    return cast(Value, value)


def _records(record: Mapping[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    values = cast(list[Any], _field(record, name, list, where))
    for value in values:
        if not isinstance(value, dict):
            raise DatasetError(f"{where}: field {name!r} holds {value!r}; it must hold objects")
    return cast(list[dict[str, Any]], values)


def _mapping(record: Mapping[str, Any], name: str, kind: type[Value], where: str) -> dict[str, Value]:
    values = cast(dict[str, Any], _field(record, name, dict, where))
    return {key: _field(values, key, kind, f"{where}, {name}") for key in values}
