"""What the readers of foreign sets share: records that give no document, JSON that is checked, pictures as frames."""

import io
import json
import warnings
from typing import Any, TypeVar, cast

from PIL import Image, UnidentifiedImageError

from shards.document import Frame, ImageFormat

Kind = TypeVar("Kind", dict[str, Any], list[Any])
FORMATS: dict[str | None, ImageFormat] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
"""The formats that a shard holds, by Pillow's names."""


class BadRecord(Exception):
    """A record that gives no document; `reason` is a word to count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parsed(data: str | bytes, kind: type[Kind]) -> Kind:
    """The value of a JSON text, which has to be of `kind`. Raises BadRecord, `malformed`."""
    try:
        value = json.loads(data)
    except (ValueError, TypeError, RecursionError):
        raise BadRecord("malformed") from None
    if not isinstance(value, kind):
        raise BadRecord("malformed")
    return value


def texts_in(value: Any) -> list[str | None]:
    """A list of texts and nulls. Raises BadRecord, `malformed`."""
    if not isinstance(value, list) or not all(isinstance(one, str | None) for one in cast(list[Any], value)):
        raise BadRecord("malformed")
    return [one if one is None else storable(one) for one in cast(list[str | None], value)]


def storable(text: str) -> str:
    """`text` as UTF-8 can hold it: JSON can bring half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def frame_of(data: bytes) -> Frame:
    """The picture whose file is `data`, of which the header alone is read.

    Raises BadRecord: `not_a_picture`, `format_gif` and the like, which shards do not hold, `too_many_pixels`.
    """
    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(data)) as image,
        ):
            if image.format not in FORMATS:
                raise BadRecord(f"format_{str(image.format).lower()}")
            return Frame(data=data, format=FORMATS[image.format], width=image.width, height=image.height)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadRecord("too_many_pixels") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise BadRecord("not_a_picture") from None
