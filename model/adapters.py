"""Adapters on disk: `adapters.safetensors` with what is trained, and `config.json` that names what is not."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.config import FlamingoConfig

WEIGHTS = "adapters.safetensors"
CONFIG = "config.json"
MAY_DIFFER = (
    *("vision", "vision_revision", "vision_frozen", "image_size"),
    *("language", "language_revision", "language_frozen"),
)
"""Of a model that goes on from adapters; where backbones lie says nothing, and what they are, their fingerprints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapters:
    """A folder of adapters, read."""

    folder: Path
    """Where they lie."""

    config: FlamingoConfig
    """The model that they belong to."""

    fingerprints: Mapping[str, str]
    """SHA-256 of the backbones they were trained on, `vision` and `language`."""

    state: Mapping[str, Tensor]
    """The trained parameters by name."""

    def check_backbones(self, found: Mapping[str, str]) -> None:
        """Raise ValueError where a backbone that was loaded is not the one the adapters were trained on."""
        for part, source in (("vision", self.config.vision), ("language", self.config.language)):
            if found[part] != self.fingerprints.get(part):
                raise ValueError(
                    f"the adapters in {self.folder} were trained on other {part} weights than {source} holds;"
                    f" set {part} in {self.folder / CONFIG} to the backbone they belong to"
                )

    def check_config(self, config: FlamingoConfig) -> None:
        """Raise ValueError where a Flamingo of that config cannot go on from these adapters."""
        check_same_model(self.folder, self.config, config)


def check_same_model(folder: Path, theirs: FlamingoConfig, ours: FlamingoConfig) -> None:
    """Raise ValueError where the adapters in `folder` are of a model of another config, but for what may be changed
    between two trainings."""
    for field in fields(FlamingoConfig):
        found, wanted = getattr(theirs, field.name), getattr(ours, field.name)
        if field.name not in MAY_DIFFER and found != wanted:
            raise ValueError(
                f"the adapters in {folder} were trained with {field.name} {found!r}, and this model has {wanted!r};"
                " make them the same"
            )


def fingerprint(backbone: nn.Module) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of a backbone's weights, in order of name."""
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_adapters(
    folder: Path, config: FlamingoConfig, fingerprints: Mapping[str, str], state: Mapping[str, Tensor]
) -> None:
    """Write the weights, then the config; a folder without its config is not whole.

    Backbones in local folders are named by their absolute paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in state.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(describe_adapters(config, fingerprints), encoding="utf-8")


def describe_adapters(config: FlamingoConfig, fingerprints: Mapping[str, str]) -> str:
    """What stands in `config.json`."""
    described = asdict(config) | {part: absolute(getattr(config, part)) for part in ("vision", "language")}
    return json.dumps({"flamingo": described, "fingerprints": dict(fingerprints)}, indent=2) + "\n"


def read_adapters(folder: Path) -> Adapters:
    """Read what `write_adapters` wrote. Raises ValueError where the folder holds something else."""
    return _read(folder, weights=True)


def read_without_weights(folder: Path) -> Adapters:
    """The same, but with an empty state, so that it takes no memory."""
    return _read(folder, weights=False)


def _read(folder: Path, *, weights: bool) -> Adapters:
    try:
        described = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return Adapters(
            folder=folder,
            config=FlamingoConfig(**described["flamingo"]),
            fingerprints=described["fingerprints"],
            state=load_file(folder / WEIGHTS) if weights else {},
        )
    except OSError as error:
        raise ValueError(f"{folder} holds no adapters, which are {CONFIG} and {WEIGHTS}: {error}") from error
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"the adapters in {folder} cannot be read: {error}") from error


def absolute(source: str) -> str:
    """A local folder by its absolute path; a hub id as it is."""
    return str(Path(source).resolve()) if Path(source).is_dir() else source
