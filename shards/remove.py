"""Takes documents and images out of a dataset by address: `python -m shards.remove data/m3w --urls takedown.txt`.

    commits ─► their shards read ─► those concerned written anew ─► the record ─► commits, manifest ─► old shards gone

The file has an address a line; one that ends with `*` stands for all that begin as it does. A document leaves if its
source is named, or nothing but text is left of it; an image or video leaves its document if its address is named. The
record says what went and which shards took the place of which. It is written before anything refers to it, and what
follows from it is done again by the next call, so that a call that was killed is finished by another.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from shards.claim import claim
from shards.document import Document, Media
from shards.errors import DatasetError
from shards.location import Location, locate
from shards.manifest import Commit, Manifest, read_commits, read_manifest, write_commit, write_manifest
from shards.schema import parse_object
from shards.shard import FEATURES, ShardRecord, read_shard, write_shard

REMOVALS = "removals"
REMOVED = ("document_removed", "medium_removed")
"""What commits and manifest call the documents, and the media of documents that stay, that went."""
Named = TypeVar("Named", Commit, Manifest)
"""What names shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A document or medium that went."""

    shard: str
    key: str
    """Of the document."""
    source: str
    """Of the document."""
    url: str
    """Of the medium; empty for a document."""
    reason: str
    """`document_named`, `medium_named`, or `no_medium_left`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A shard, and what took its place."""

    chunk: str
    old: str
    new: ShardRecord | None
    """None if nothing was left."""
    documents: int
    """How many went."""
    media: int
    """How many went from documents that stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The record of one call."""

    name: str
    replacements: tuple[Replacement, ...]
    removed: tuple[Removed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Addresses that are named, in the form that `comparable` gives them."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    def name(self, url: str) -> bool:
        address = comparable(url)
        return bool(url) and (address in self.exact or address.startswith(self.prefixes))


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOut:
    """What earlier calls took out, in the form that `comparable` gives addresses."""

    documents: frozenset[str]
    """Sources of documents that were named."""
    media: frozenset[str]
    """Addresses of media that were named."""


def taken_out(folder: Location, names: Sequence[str]) -> TakenOut:
    """What the records `names` of the dataset in `folder` say. Raises DatasetError if one cannot be understood."""
    removed = [one for name in names for one in _read(folder, name).removed]
    return TakenOut(
        documents=frozenset(comparable(one.source) for one in removed if one.reason == "document_named"),
        media=frozenset(comparable(one.url) for one in removed if one.url),
    )


def comparable(url: str) -> str:
    """`url` without what makes no other address: scheme, case of the host, port of the scheme, fragment."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # a bracket that begins no IPv6 address: no address, and equal to itself alone
        return url.strip()
    host = parts.netloc.lower().removesuffix(":80" if parts.scheme == "http" else ":443")
    return f"{host}{parts.path or '/'}{'?' + parts.query if parts.query else ''}"


def parse_addresses(lines: Iterable[str]) -> Addresses:
    """The addresses of a file's lines. Raises DatasetError if there is none."""
    named = [line.strip() for line in lines if line.strip()]
    if not named:
        raise DatasetError("the file of addresses is empty; give an address a line")
    return Addresses(
        exact=frozenset(comparable(url) for url in named if not url.endswith("*")),
        prefixes=tuple(comparable(url[:-1]) for url in named if url.endswith("*")),
    )


def remove(folder: Location, addresses: Addresses) -> Removal | None:
    """Takes what `addresses` name out of the dataset in `folder`; the record, or None if nothing there is named.

    Finishes calls that were killed before. Raises DatasetError if there is no dataset, another process writes to it, or
    a shard cannot be read.
    """
    if read_manifest(folder).foreign:
        raise DatasetError(f"{folder} is an adopted set; take it out of the set's own files, and adopt it again")
    claim(folder)
    names = sorted((folder / REMOVALS).files())
    for name in names:
        _apply(folder, _read(folder, name))
    removed = list[Removed]()
    replacements = [
        replacement
        for commit in read_commits(folder)
        for shard in commit.shards
        if (replacement := _rewrite(folder, commit.chunk, shard, addresses, removed))
    ]
    if not replacements:
        return None
    record = Removal(name=f"{len(names) + 1:06d}.json", replacements=tuple(replacements), removed=tuple(removed))
    data = json.dumps(asdict(record), sort_keys=True, indent=1, ensure_ascii=False).encode("utf-8", "replace")
    (folder / REMOVALS / record.name).write(data)
    _apply(folder, record)
    return record


def _rewrite(
    folder: Location, chunk: str, shard: ShardRecord, addresses: Addresses, removed: list[Removed]
) -> Replacement | None:
    """Writes `shard` without what `addresses` name, and adds that to `removed`; None if it holds nothing of it."""
    tar = folder / f"{shard.name}.tar"
    gone = [one for document in read_shard(tar) for one in _named(document, shard.name, addresses)]
    if not gone:
        return None
    removed.extend(gone)
    documents = {one.key for one in gone if not one.url}
    left = (_without(document, addresses) for document in read_shard(tar) if document.key not in documents)
    everything = len(documents) == shard.documents
    return Replacement(
        chunk=chunk,
        old=shard.name,
        new=None if everything else write_shard(folder, _next_name(shard.name), left),
        documents=len(documents),
        media=sum(1 for one in gone if one.url and one.key not in documents),
    )


def _named(document: Document, shard: str, addresses: Addresses) -> Iterator[Removed]:
    """What has to leave of `document`: it, or some of its media, and it too if they were all that it had."""
    row = Removed(shard=shard, key=document.key, source=document.source, url="", reason="document_named")
    if addresses.name(document.source):
        yield row
        return
    named = [media for media in document.media if addresses.name(media.url)]
    yield from (replace(row, url=media.url, reason="medium_named") for media in named)
    if named and len(named) == len(document.media):
        yield replace(row, reason="no_medium_left")


def _without(document: Document, addresses: Addresses) -> Document:
    kept = (block for block in document.blocks if not (isinstance(block, Media) and addresses.name(block.url)))
    return replace(document, blocks=tuple(kept))


def _next_name(name: str) -> str:
    """Of the generation of a shard that follows on `name`: `000000-0000`, `000000-0000-r1`, `000000-0000-r2`."""
    match = re.fullmatch(r"(.*)-r(\d+)", name)
    return f"{match[1]}-r{int(match[2]) + 1}" if match else f"{name}-r1"


def _apply(folder: Location, record: Removal) -> None:
    """Makes commits and manifest name the new shards, then deletes the old; what is done already stays."""
    for commit in read_commits(folder):
        if (follower := _replaced(commit, record)) != commit:
            write_commit(folder, follower)
    manifest = read_manifest(folder)
    if (following := _replaced(manifest, record)) != manifest:
        write_manifest(folder, following)
    for replacement in record.replacements:
        for suffix in (".tar", ".parquet"):
            (folder / f"{replacement.old}{suffix}").delete()
        _delete_features(folder / FEATURES, replacement.old)


def _delete_features(folder: Location, shard: str) -> None:
    """Pictures that went must not stay as what a vision encoder made of them."""
    for key in folder.folders():
        (folder / key / f"{shard}.safetensors").delete()


def _replaced(one: Named, record: Removal) -> Named:
    """`one` with the new shards in the place of the old, and with what went counted."""
    names = {shard.name for shard in one.shards}
    mine = {replacement.old: replacement for replacement in record.replacements if replacement.old in names}
    if not mine:
        return one
    shards = (mine[shard.name].new if shard.name in mine else shard for shard in one.shards)
    documents = sum(replacement.documents for replacement in mine.values())
    media = sum(replacement.media for replacement in mine.values())
    drops = dict(one.drops)
    for reason, number in zip(REMOVED, (documents, media), strict=True):
        if number:
            drops[reason] = drops.get(reason, 0) + number
    return replace(
        one,
        shards=tuple(shard for shard in shards if shard),
        counts={**one.counts, "documents": one.counts.get("documents", 0) - documents},
        drops=dict(sorted(drops.items())),
        removals=(*one.removals, record.name),
    )


def _read(folder: Location, name: str) -> Removal:
    """The record called `name`. Raises DatasetError if it cannot be understood."""
    location = folder / REMOVALS / name
    record = parse_object(location.read(), str(location))
    try:
        return Removal(
            name=name,
            replacements=tuple(_replacement(**one) for one in record["replacements"]),
            removed=tuple(Removed(**one) for one in record["removed"]),
        )
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{location} is not a record of what was removed: {error}") from None


def _replacement(new: dict[str, Any] | None, **others: Any) -> Replacement:
    return Replacement(new=ShardRecord(**new) if new else None, **others)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints how much went and where that is written down; the exit code is 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m shards.remove", description=__doc__)
    parser.add_argument("dataset", help="folder or address of a finished dataset")
    parser.add_argument(
        "--urls", required=True, help="a file with an address a line; a * at its end stands for all behind"
    )
    arguments = parser.parse_args(argv)
    try:
        folder = locate(arguments.dataset)
        record = remove(folder, parse_addresses(locate(arguments.urls).read().decode().splitlines()))
    except (DatasetError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if record is None:
        print(f"{folder} holds nothing under these addresses")
        return 0
    documents = sum(replacement.documents for replacement in record.replacements)
    media = sum(replacement.media for replacement in record.replacements)
    print(
        f"{documents} documents left, and {media} images and videos of others; {len(record.replacements)} shards "
        f"were written anew, and {folder / REMOVALS / record.name} says what went"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
