"""Makes a dataset of a set that another tool wrote, in place: `python -m shards.adopt --kind img2dataset --input DIR`.

    files of the set ─► their records, each read once ─► an index a file, a commit ─► the manifest

Nothing of the set is written again: the output holds indexes and a manifest, which name the files where they lie.
A record that gives no document is counted by reason. Files that are committed are not read again by a second call.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, get_args

from shards.claim import claim
from shards.errors import DatasetError
from shards.foreign import energon
from shards.foreign.layout import Kind, open_layout
from shards.foreign.records import BadRecord
from shards.index import index_row, write_index
from shards.location import Location, locate
from shards.manifest import Commit, Manifest, merge, read_commits, write_commit, write_manifest
from shards.shard import record_of, sha256_of

JOB = "shards.adopt"
MARK = "adopted.json"
"""The file of an output that says which set it belongs to."""


def describe(kind: Kind, folder: Location, images: str, part: str) -> tuple[dict[str, Any], list[str]]:
    """What the manifest says of the set in `folder`, and the names of its files without their suffix, in order.

    Raises DatasetError if there are none.
    """
    foreign: dict[str, Any] = {"kind": kind, "folder": str(folder), "images": images}
    if kind == "energon":
        files, excluded = energon.tars_of(folder, part)
        foreign |= {"fields": dict(energon.fields_of(folder)), "excluded": excluded}
    else:
        files = folder.files()
    suffix = open_layout(foreign).suffix
    names = [name.removesuffix(suffix) for name in files if name.endswith(suffix)]
    if not names:
        raise DatasetError(f"{folder} holds no file {suffix} of a set of kind {kind}")
    return foreign, names


def adopt_file(output: Location, foreign: Mapping[str, Any], name: str) -> Commit:
    """Reads the file `name` of the set once, and commits its index. Raises DatasetError if it is cut."""
    layout, drops = open_layout(foreign), Counter[str]()
    file = locate(foreign["folder"]) / f"{name}{layout.suffix}"
    rows = list[dict[str, object]]()
    for offset, size in layout.places(file):
        try:
            rows.append(index_row(layout.read(file, offset, size, drops), offset, size))
        except BadRecord as bad:
            drops[f"record_{bad.reason}"] += 1
    with (output / f"{name}.parquet").written_whole() as path:
        write_index(path, rows)
        index_sha256 = sha256_of(path)
    shard = record_of(name, rows, file.size(), file.sha256(), index_sha256)
    commit = Commit(
        chunk=name.replace("/", "-"),
        shards=(shard,),
        counts={"documents": len(rows)},
        drops=dict(sorted(drops.items())),
    )
    write_commit(output, commit)
    return commit


def adopt(
    kind: Kind, folder: Location, output: Location, *, images: str = "", part: str = "train", workers: int = 1
) -> Manifest:
    """The manifest of the dataset that the set becomes. Raises DatasetError if a file is cut or there is none."""
    foreign, names = describe(kind, folder, images, part)
    claim(output)
    _own(output, foreign)
    standing = {commit.chunk for commit in read_commits(output)}
    pending = [name for name in names if name.replace("/", "-") not in standing]
    work = partial(adopt_file, output, foreign)
    if workers == 1:
        for name in pending:
            work(name)
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(work, pending))
    return write_manifest(output, merge(JOB, {}, read_commits(output), foreign))


def _own(output: Location, foreign: Mapping[str, Any]) -> None:
    """Marks the folder `output` as that of this set. Raises DatasetError if it is another's, such as the set's own."""
    mark, said = output / MARK, json.dumps(foreign, sort_keys=True, indent=1).encode()
    if not mark.exists():
        if any(not name.startswith(".") for name in output.files()):
            raise DatasetError(f"output {output} is a folder with files in it; give a new folder")
        mark.write(said)
    elif mark.read() != said:
        raise DatasetError(f"output {output} was begun with another set or other settings; give a new folder")


def main(argv: Sequence[str] | None = None) -> int:
    """Prints what the set gave and what it did not; the exit code is 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m shards.adopt", description=__doc__)
    parser.add_argument("--kind", required=True, choices=get_args(Kind))
    parser.add_argument("--input", required=True, help="the folder or address of the set")
    parser.add_argument("--output", required=True, help="a new folder or address, for the indexes and the manifest")
    parser.add_argument("--images", default="", help="obelics, mmc4: the folder or address of the pictures")
    parser.add_argument("--part", default="train", help="energon: the part of the split (default: train)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read, a file each (default: 1)")
    arguments = parser.parse_args(argv)
    try:
        folder, output = locate(arguments.input), locate(arguments.output)
        images = str(locate(arguments.images)) if arguments.images else ""
        manifest = adopt(arguments.kind, folder, output, images=images, part=arguments.part, workers=arguments.workers)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{manifest.documents} documents in {len(manifest.shards)} files; {output} names them")
    for reason, number in sorted(manifest.drops.items()):
        print(f"{number} left out: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
