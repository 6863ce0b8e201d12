"""A dataset of Megatron-Energon: webdataset tars, and a folder `.nv-meta` that says what their samples are.

`dataset.yaml` names the sample type and the fields, `split.yaml` the tars of each part, and tars and samples that are
left out (docs/source/basic/data_prep.md of NVIDIA/Megatron-Energon). A CaptioningSample needs a field map; an
InterleavedSample is read as the documentation lays it out. Code that lies in the folder (`sample_loader.py`) is
never run.
"""

from collections.abc import Mapping
from typing import Any, cast

import yaml
from braceexpand import braceexpand

from shards.errors import DatasetError
from shards.location import Location

META = ".nv-meta"


def tars_of(folder: Location, part: str) -> tuple[list[str], list[str]]:
    """The tars of `part`, by their paths in `folder`, and the samples that are left out, as `TAR/SAMPLE`.

    Raises DatasetError if the folder has no such part.
    """
    split = _yaml(folder / META / "split.yaml")
    parts = split.get("split_parts")
    if not isinstance(parts, dict) or part not in parts:
        raise DatasetError(f"{folder / META / 'split.yaml'} has no part {part!r} in its split_parts")
    excluded = _expanded(split.get("exclude") or [])
    named = _expanded(cast(dict[str, Any], parts)[part])
    return [name for name in named if name not in excluded], [name for name in excluded if "/" in name]


def fields_of(folder: Location) -> Mapping[str, str]:
    """Where a sample's image and caption lie; empty for interleaved samples.

    Raises DatasetError for other types of samples, and captions that only code can read.
    """
    place = folder / META / "dataset.yaml"
    said = _yaml(place)
    kind = cast(dict[str, Any], said.get("sample_type") or {}).get("__class__")
    fields = cast(dict[str, Any], said.get("field_map") or {})
    if kind == "InterleavedSample":
        return {}
    if kind == "CaptioningSample" and isinstance(fields.get("image"), str) and isinstance(fields.get("caption"), str):
        return {"image": fields["image"], "caption": fields["caption"]}
    raise DatasetError(
        f"{place} has samples of type {kind!r}; CaptioningSample with a field_map of image and caption, and "
        "InterleavedSample, can be read"
    )


def _expanded(names: Any) -> list[str]:
    """Names with braces, `shard_{000..123}.tar`, written out. Raises DatasetError if it is no list of names."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast(list[Any], names)):
        raise DatasetError(f"a list of names is wanted in split.yaml, and {names!r} is there")
    return [name for braced in cast(list[str], names) for name in braceexpand(braced)]


def _yaml(place: Location) -> dict[str, Any]:
    """The mapping in a file of YAML. Raises DatasetError if there is none."""
    try:
        value = yaml.safe_load(place.read())
    except yaml.YAMLError as error:
        raise DatasetError(f"{place} is not YAML: {error}") from None
    if not isinstance(value, dict):
        raise DatasetError(f"{place} holds no mapping")
    return cast(dict[str, Any], value)
