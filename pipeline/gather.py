"""How every gathering job runs: it owns its output, works chunk by chunk on Ray Data, and ends with a manifest.

A rerun finds what is committed and does the rest; nothing else is remembered between runs.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.command import InputError
from jobs.connect import check_shared, connect, resolve
from pipeline.chunks import ATTEMPTS, Chunk, Work, do_chunk
from pipeline.funnel import FUNNEL, count_funnel, funnel_json
from pipeline.funnel_picture import PICTURE, funnel_svg
from pipeline.ledger import LEDGER, ledger_of, read_ledger
from pipeline.network import STORE
from pipeline.retry import places_to_retry
from pipeline.tasks import run_tasks
from shards.claim import claim
from shards.location import Location
from shards.manifest import MANIFEST, Commit, Manifest, merge, read_commits, read_manifest, write_manifest

OWNER = "job.json"
"""The file that says which job an output folder belongs to."""
WORK = "work"
"""The folder of an output in which lies what the steps of a run in progress leave for each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A dataset in the making, and what this run of its job has done for it."""

    location: Location
    job: str
    config: dict[str, Any]
    started: float


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
    changed = sorted(name for name in config if record["config"].get(name) != config[name])
    if changed:
        raise InputError(
            f"output {location} was begun with another {changed[0]}: {record['config'].get(changed[0])!r}, "
            f"now {config[changed[0]]!r}; give another folder or the same settings"
        )


def open_output(uri: str, job: str, config: dict[str, Any]) -> Output:
    """Joins Ray and claims the folder `uri` for `job` with `config`, the settings on which its documents depend.

    Raises InputError if the folder belongs to another job, or not every node of the cluster sees it, and DatasetError
    if another process writes to it.
    """
    location = resolve("output", uri)
    check_owner(location, job, config)
    connect()
    if location.is_local:
        location.filesystem.create_dir(location.path, recursive=True)
    claim(location)
    check_shared("output", location)
    if not (location / OWNER).exists():
        # Not sorted: rules stand in the order in which they are applied.
        (location / OWNER).write(json.dumps({"job": job, "config": config}, indent=1).encode())
    return Output(location=location, job=job, config=config, started=time.monotonic())


def run_chunks(
    output: Output, chunks: Sequence[Chunk], prepare: Callable[[], Work], retry_failed: bool = False
) -> list[Commit]:
    """The commits of `chunks`: those that stand already, and those of the work done now, in the order of `chunks`.

    `prepare` is called if there is anything to do. With `retry_failed` that are also the chunks in which something
    failed that may pass another time.
    """
    standing = {commit.chunk: commit for commit in read_commits(output.location)}
    pending = [chunk for chunk in chunks if chunk.id not in standing]
    again = [chunk for chunk in chunks if chunk.id in standing] if retry_failed else []
    again = [chunk for chunk in again if places_to_retry(read_ledger(output.location, standing[chunk.id]))]
    if pending or again:
        _run_on_ray(output.location, pending, again, prepare())
        standing = {commit.chunk: commit for commit in read_commits(output.location)}
    return [standing[chunk.id] for chunk in chunks]


def finish(output: Output, commits: Sequence[Commit]) -> tuple[Manifest, bool]:
    """Writes the manifest of `commits`, unless it stands already; says whether anything changed.

    The funnel is written before it, and what only a run in progress needs is removed.
    """
    merged = merge(output.job, output.config, commits)
    changed = not (output.location / MANIFEST).exists() or read_manifest(output.location) != merged
    if changed:
        funnel = count_funnel(output.location, commits)
        (output.location / FUNNEL).write(funnel_json(funnel))
        (output.location / PICTURE).write(funnel_svg(funnel).encode())
    manifest = write_manifest(output.location, merged) if changed else read_manifest(output.location)
    if changed:
        _remove_strays(output.location)
    for name in (ATTEMPTS, STORE, WORK):
        folder = output.location / name
        if folder.exists():
            folder.filesystem.delete_dir(folder.path)
    return manifest, changed


def _run_on_ray(location: Location, pending: Sequence[Chunk], again: Sequence[Chunk], work: Work) -> None:
    rows = [
        {"id": f"chunk {chunk.id}", "chunk": chunk.id, "items": json.dumps(chunk.items), "again": chunks is again}
        for chunks in (pending, again)
        for chunk in chunks
    ]

    def gather(row: dict[str, Any]) -> None:
        do_chunk(location, Chunk(id=row["chunk"], items=tuple(json.loads(row["items"]))), work, row["again"])

    run_tasks(location, rows, gather)


def _remove_strays(location: Location) -> None:
    """Deletes what killed runs and earlier generations left: partial files, and shards and ledgers of no commit.

    A commit's shards stay even where this manifest leaves them out, as after a run with a smaller `--limit`: the
    commit says that they stand.
    """
    commits = read_commits(location)
    shards = {
        f"{shard.name}{suffix}" for commit in commits for shard in commit.shards for suffix in (".tar", ".parquet")
    }
    ledgers = {ledger_of(location, commit.chunk, commit.generation).name for commit in commits}
    for folder, named in ((location, shards), (location / LEDGER, ledgers)):
        for name in folder.files():
            if name.endswith(".partial") or (name.endswith((".tar", ".parquet")) and name not in named):
                folder.filesystem.delete_file(f"{folder.path}/{name}")


def without(config: Any, *names: str) -> dict[str, Any]:
    """The fields of a config dataclass as JSON has them, but for those on which its documents do not depend."""
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name not in names}
    return json.loads(json.dumps(fields))
