"""The manifest of a dataset, and the commits that it is merged from.

Work is cut into chunks. A chunk's commit is written after its shards, and says that they stand; the manifest is
the merge of all commits and is written last. Neither holds a time or a machine's name, so a run that was killed
and started again ends with the same bytes as one that was not.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shards.errors import DatasetError
from shards.location import Location
from shards.schema import SCHEMA_VERSION, check_version, parse_object
from shards.shard import ShardRecord

Record = TypeVar("Record", "Manifest", "Commit")
MANIFEST = "manifest.json"
COMMITS = "commits"
LISTS = ("notes", "links", "late_links", "removals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one finished chunk left behind."""

    chunk: str
    shards: tuple[ShardRecord, ...]
    counts: Mapping[str, int]
    """What was seen and kept, by name: pages, documents, images, ..."""
    drops: Mapping[str, int]
    """What was dropped, by reason."""
    notes: tuple[str, ...] = ()
    """Sentences a person must read, such as that an archive was cut."""
    links: tuple[str, ...] = ()
    """Addresses found in this chunk, from which later chunks are cut."""
    late_links: tuple[str, ...] = ()
    """Addresses that only later generations found; apart, so that the chunks cut from `links` stay what they are."""
    generation: int = 0
    """How often the chunk was done again."""
    removals: tuple[str, ...] = ()
    """The records, in the folder `removals`, of what `shards.remove` took out of this chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a dataset holds. A shard exists when the manifest says so."""

    job: str
    config: Mapping[str, Any]
    """Those settings of the job on which the documents depend."""
    shards: tuple[ShardRecord, ...]
    counts: Mapping[str, int]
    drops: Mapping[str, int]
    notes: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    """The records, in the folder `removals`, of what `shards.remove` took out."""
    foreign: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Where a set lies that another tool wrote, and how; empty for shards of our own. See `shards.foreign.layout`."""
    version: int = SCHEMA_VERSION
    sha256: str = field(default="", compare=False)
    """Of the manifest's own bytes, when it was read or written."""

    @property
    def documents(self) -> int:
        return sum(shard.documents for shard in self.shards)


def merge(
    job: str, config: Mapping[str, Any], commits: Iterable[Commit], foreign: Mapping[str, Any] | None = None
) -> Manifest:
    """The manifest of a dataset made of `commits`, in the order of their chunks' names."""
    ordered = sorted(commits, key=lambda commit: commit.chunk)
    counts, drops = Counter[str](), Counter[str]()
    for commit in ordered:
        counts.update(commit.counts)
        drops.update(commit.drops)
    return Manifest(
        job=job,
        config=config,
        shards=tuple(shard for commit in ordered for shard in commit.shards),
        counts=dict(sorted(counts.items())),
        drops=dict(sorted(drops.items())),
        notes=tuple(note for commit in ordered for note in commit.notes),
        removals=tuple(sorted({name for commit in ordered for name in commit.removals})),
        foreign=foreign or {},
    )


def write_manifest(folder: Location, manifest: Manifest) -> Manifest:
    """Writes `manifest` into `folder`; returns it with its sha256."""
    record = dataclasses.asdict(manifest)
    del record["sha256"]
    data = _to_json(record)
    (folder / MANIFEST).write(data)
    return dataclasses.replace(manifest, sha256=hashlib.sha256(data).hexdigest())


def read_manifest(folder: Location) -> Manifest:
    """The manifest in `folder`. Raises DatasetError if there is none or it cannot be understood."""
    location = folder / MANIFEST
    if not location.exists():
        raise DatasetError(
            f"{folder} has no {MANIFEST}, so it is not a finished dataset; run the job that makes it to its end"
        )
    data = location.read()
    record = parse_object(data, str(location))
    version = record.get("version")
    if type(version) is not int:
        raise DatasetError(f"{location}: field 'version' is {version!r}; it must be of type int")
    check_version(version, str(location))
    return _build(Manifest, {**record, "sha256": hashlib.sha256(data).hexdigest()}, location)


def write_commit(folder: Location, commit: Commit) -> None:
    (folder / COMMITS / f"{commit.chunk}.json").write(_to_json(dataclasses.asdict(commit)))


def read_commit(folder: Location, chunk: str) -> Commit:
    """The commit of `chunk`. Raises DatasetError if there is none or it cannot be understood."""
    location = folder / COMMITS / f"{chunk}.json"
    return _build(Commit, parse_object(location.read(), str(location)), location)


def read_commits(folder: Location) -> list[Commit]:
    """All commits in `folder`, in the order of their chunks' names."""
    names = (folder / COMMITS).files()
    return [
        read_commit(folder, name.removesuffix(".json")) for name in names if name.endswith(".json") and name[0] != "."
    ]


def _to_json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def _build(kind: type[Record], record: dict[str, Any], location: Location) -> Record:
    try:
        shards = tuple(ShardRecord(**shard) for shard in record.pop("shards"))
        lists = {name: tuple(record.pop(name)) for name in LISTS if name in record}
        return kind(shards=shards, **lists, **record)
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{location} is not a {kind.__name__.lower()} of this program: {error}") from None
