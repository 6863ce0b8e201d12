"""How every gathering job runs: it owns its output, works chunk by chunk on Ray Data, and ends with a manifest.

A job's work on one chunk is a function from the chunk to documents. Its name follows from its place and content,
so a rerun finds what is committed and does the rest; nothing else is remembered between runs.
"""

import dataclasses
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from jobs.command import InputError
from jobs.connect import check_shared, connect, resolve
from shards.chunk import Tally, write_chunk
from shards.document import Document
from shards.location import Location
from shards.manifest import COMMITS, MANIFEST, Commit, Manifest, merge, read_commits, read_manifest, write_manifest

OWNER = "job.json"
"""The file that says which job an output folder belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of work that one task does and one commit records."""

    id: str
    items: tuple[Any, ...]
    """What the job works on, as plain JSON values."""


Work = Callable[[Chunk, Tally], Iterable[Document]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A dataset in the making, and what this run of its job has done for it."""

    location: Location
    job: str
    config: dict[str, Any]
    started: float


def cut(items: Sequence[Any], size: int) -> list[Chunk]:
    """Chunks of `size` items."""
    return name_chunks([items[start : start + size] for start in range(0, len(items), size)])


def name_chunks(runs: Iterable[Sequence[Any]], prefix: str = "") -> list[Chunk]:
    """A chunk for each of `runs`; its id is a place in the list and a hash of the items."""
    items = (tuple(run) for run in runs)
    return [Chunk(id=f"{prefix}{number:06d}-{_hash(run)}", items=run) for number, run in enumerate(items)]


def check_owner(location: Location, job: str, config: dict[str, Any]) -> None:
    """Raises InputError if the folder at `location` belongs to another job, or to this one with another `config`."""
    owner = location / OWNER
    if not owner.exists():
        # A name with a dot in front is what a run left that was killed before it could claim the folder.
        if any(not name.startswith(".") for name in location.files()):
            raise InputError(f"output {location} is a folder with other files in it; give a new folder")
        return
    record = json.loads(owner.read())
    if record["job"] != job:
        raise InputError(f"output {location} belongs to {record['job']}, not {job}; give another folder")
    known = json.loads(json.dumps(config))
    changed = sorted(name for name in known if record["config"].get(name) != known[name])
    if changed:
        raise InputError(
            f"output {location} was begun with another {changed[0]}: {record['config'].get(changed[0])!r}, "
            f"now {known[changed[0]]!r}; give another folder or the same settings"
        )


def open_output(uri: str, job: str, config: dict[str, Any]) -> Output:
    """Joins Ray and claims the folder `uri` for `job` with `config`, the settings on which its documents depend.

    Raises InputError if the folder belongs to another job, or not every node of the cluster sees it.
    """
    location = resolve("output", uri)
    check_owner(location, job, config)
    connect()
    if location.is_local:
        location.filesystem.create_dir(location.path, recursive=True)
    check_shared("output", location)
    if not (location / OWNER).exists():
        (location / OWNER).write(json.dumps({"job": job, "config": config}, sort_keys=True, indent=1).encode())
    return Output(location=location, job=job, config=config, started=time.monotonic())


def run_chunks(output: Output, chunks: Sequence[Chunk], work: Work) -> list[Commit]:
    """The commits of `chunks`: those that stand already, and those of the work done now, in the order of `chunks`."""
    standing = {name.removesuffix(".json") for name in (output.location / COMMITS).files()}
    pending = [chunk for chunk in chunks if chunk.id not in standing]
    if pending:
        _run_on_ray(output.location, pending, work)
    commits = {commit.chunk: commit for commit in read_commits(output.location)}
    return [commits[chunk.id] for chunk in chunks]


def finish(output: Output, commits: Sequence[Commit]) -> tuple[Manifest, bool]:
    """Writes the manifest of `commits`, unless it stands already; says whether anything changed."""
    merged = merge(output.job, output.config, commits)
    if (output.location / MANIFEST).exists():
        standing = read_manifest(output.location)
        if standing == merged:
            return standing, False
    manifest = write_manifest(output.location, merged)
    _remove_strays(output.location)
    return manifest, True


def _run_on_ray(location: Location, chunks: Sequence[Chunk], work: Work) -> None:
    # Ray's block is the unit of its progress bar and of its retries; a chunk a block keeps both honest.
    rows = [{"id": chunk.id, "items": json.dumps(chunk.items)} for chunk in chunks]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))

    def gather(row: dict[str, Any]) -> dict[str, Any]:
        chunk = Chunk(id=row["id"], items=tuple(json.loads(row["items"])))
        commit = write_chunk(location, chunk.id, lambda tally: work(chunk, tally))
        return {"chunk": commit.chunk}

    with warnings.catch_warnings():
        # Ray Data retries for ever by default, and 2.60 has no other way to say how often than one that it deprecates.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        done = dataset.map(gather, num_cpus=1, max_retries=3).take_all()
    if len(done) != len(chunks):
        raise RuntimeError(f"Ray Data returned {len(done)} of {len(chunks)} chunks")


def _remove_strays(location: Location) -> None:
    """Deletes what a killed run left behind: partial files, and shards that no commit names.

    A commit's shards stay even where this manifest leaves them out, as after a run with a smaller `--limit`: the
    commit says that they stand.
    """
    committed = {shard.name for commit in read_commits(location) for shard in commit.shards}
    named = {f"{name}{suffix}" for name in committed for suffix in (".tar", ".parquet")}
    for name in location.files():
        if name.endswith(".partial") or (name.endswith((".tar", ".parquet")) and name not in named):
            location.filesystem.delete_file(f"{location.path}/{name}")


def without(config: Any, *names: str) -> dict[str, Any]:
    """The fields of a config dataclass, but for those on which its documents do not depend."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in names}


def _hash(items: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:10]
