"""Samples of one picture and its text: img2dataset's, OpenFlamingo's (LAION), and those of a field map of Energon.

A field is where a value lies in a sample, as Energon writes it: `txt`, `json[caption]`, or several parted by commas, of
which the first that is there counts (NVIDIA/Megatron-Energon, flavors/webdataset/field_access.py).
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from shards.document import Document, Media, Text, document_key
from shards.foreign.records import BadRecord, frame_of, parsed, storable, texts_in
from shards.foreign.tars import Sample

IMG2DATASET: Mapping[str, str] = {"image": "jpg,png,jpeg,webp", "caption": "txt,json[caption]"}
"""Also of OpenFlamingo, which reads jpg, png or jpeg, and txt (open_flamingo/train/data.py)."""
FIELD = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\])*)")


def pair_of(sample: Sample, fields: Mapping[str, str], where: str) -> Document:
    """The sample as [image, text], with the address that its JSON names.

    Raises BadRecord: `no_image`, `no_caption`, or what is wrong with the picture.
    """
    image, caption = look_up(sample, fields["image"]), look_up(sample, fields["caption"])
    if not isinstance(image, bytes):
        raise BadRecord("no_image")
    text = caption.decode("utf-8", "replace") if isinstance(caption, bytes) else caption
    if not isinstance(text, str) or not text.strip():
        raise BadRecord("no_caption")
    frame = frame_of(image)
    said = parsed(sample.parts["json"], dict) if "json" in sample.parts else {}
    url = said.get("url")
    address = storable(url) if isinstance(url, str) and url else f"{where}#{sample.name}"
    blocks = (Media(kind="image", frames=(frame,), url=address), Text(text=storable(text).strip()))
    return Document(key=document_key(where, sample.name), source=address, blocks=blocks)


def interleaved_of(sample: Sample, where: str) -> Document:
    """A sample whose JSON has two lists side by side: `texts`, and `images` with the suffixes of its pictures.

    Of each place one is null, as Energon's documentation has interleaved samples. Raises BadRecord: `malformed`,
    `lengths_differ`, `no_image`, or what is wrong with a picture.
    """
    record = parsed(sample.parts.get("json", b""), dict)
    texts, images = texts_in(record.get("texts")), texts_in(record.get("images"))
    if len(texts) != len(images):
        raise BadRecord("lengths_differ")
    blocks = list[Text | Media]()
    for number, (text, image) in enumerate(zip(texts, images, strict=True)):
        if image is not None:
            data = sample.parts.get(image.lower())
            if data is None:
                raise BadRecord("no_image")
            blocks.append(Media(kind="image", frames=(frame_of(data),), url=f"{where}#{sample.name}.{number}"))
        elif text is not None:
            blocks.append(Text(text=text))
    source = f"{where}#{sample.name}"
    return Document(key=document_key(where, sample.name), source=source, blocks=tuple(blocks))


def look_up(sample: Sample, field: str) -> Any:
    """The value of `field` in `sample`: bytes of a member, or what its JSON holds; None if it is not there."""
    for option in field.split(","):
        match = FIELD.fullmatch(option.strip())
        data = sample.parts.get(match[1].lower()) if match else None
        if match is None or data is None:
            continue
        if not match[2]:
            return data
        value: Any = parsed(data, dict)
        for name in re.findall(r"\[([^\[\]]+)\]", match[2]):
            value = _inside(value, name)
        if value is not None:
            return value
    return None


def _inside(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return cast(dict[str, Any], value).get(name)
    if isinstance(value, list) and name.isdecimal():
        return next(iter(cast(list[Any], value)[int(name) :]), None)
    return None
