"""img2dataset as the engine that gets the pictures of lists, on Ray, behind the filtering proxy.

    pairs whose captions stay ─► lists of the proxy's addresses ─► img2dataset (its Ray distributor) ─► Parquet files
                                 a file for each chunk             a shard for each file                a chunk's door

img2dataset itself asks no robots.txt, checks no address, reads without bound and calls itself Firefox; so it speaks to
pipeline/fetching/proxy.py alone, unless the list is trusted.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from pipeline.fetching.proxy import reason_in
from pipeline.inputs.pair_sets import HeldPictures
from pipeline.inputs.pair_table import Held, Run
from shards.location import Location

ENVIRONMENT = {"NO_ALBUMENTATIONS_UPDATE": "1"}
"""Importing it would look for updates of a library of its own."""
PLACE = "place_in_chunk"
"""The column that says which pair a row is about."""
PROXY_SECONDS = 60.0
"""So much longer than the proxy img2dataset waits."""
LOST = "fetcher_lost"
"""The reason for what it gave no account of: asked for again by --retry-failed."""
STATUS = re.compile(r"HTTP Error (\d{3}):")
SAID = {
    "Use of image disallowed by X-Robots-Tag directive": "header_disallowed",
    "hash mismatch": "hash_mismatch",
    "timed out": "timeout",
    "The read operation timed out": "timeout",
}
"""Reasons by what img2dataset says (downloader.py)."""


@dataclass(frozen=True, kw_only=True)
class Img2datasetOptions:
    """Options of img2dataset 1.47 under its own names; by default it leaves pictures as they came."""

    thread_count: int = 256
    """Requests under way in each of its tasks, each of which takes a CPU."""
    timeout: int = 10
    """Longest wait for an answer, in seconds, with trust_list; otherwise the proxy keeps the time (chunk_seconds)."""
    retries: int = 0
    """Further tries after a failure."""
    disable_all_reencoding: bool = True
    """Leave pictures as they came, so that this engine gives the documents of the native one."""
    image_size: int = 256
    """Side that pictures are resized to, in pixels."""
    resize_mode: Literal["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"] = "keep_ratio"
    resize_only_if_bigger: bool = False
    upscale_interpolation: str = "lanczos"
    downscale_interpolation: str = "area"
    encode_quality: int = 95
    encode_format: Literal["jpg", "png", "webp"] = "jpg"
    skip_reencode: bool = False
    """Leave those as they came that need no resizing."""
    min_image_size: int = 0
    max_image_area: float | None = None
    """In pixels."""
    max_aspect_ratio: float | None = None
    compute_hash: Literal["md5", "sha256", "sha512"] | None = None
    verify_hash: tuple[str, Literal["md5", "sha256", "sha512"]] | None = None
    """A further column of the list with hashes, and their kind; compute_hash has to be of the same kind."""
    user_agent_token: str | None = None
    """Whom X-Robots-Tag fields may address, beside everybody."""
    disallowed_header_directives: list[str] | None = None
    """Directives of X-Robots-Tag that refuse; null: noai, noimageai, noindex, noimageindex. The proxy has these too."""

    def __post_init__(self) -> None:
        for name in ("thread_count", "timeout", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"img2dataset.{name} is {getattr(self, name)}; it must be 1 or greater")
        if self.verify_hash and self.verify_hash[1] != self.compute_hash:
            raise ValueError(
                f"img2dataset.verify_hash is of {self.verify_hash[1]} and img2dataset.compute_hash "
                f"{self.compute_hash}; they must be the same"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """What img2dataset brought."""

    folder: Location
    shards: Mapping[tuple[int, int], int]
    """The number of its shard for each chunk, by the table and the group of the chunk's run."""
    column: str
    """In which pictures are."""
    trusted: bool
    """Whether it asked the addresses themselves."""

    def door(self, run: Run, names: Sequence[str]) -> HeldPictures:
        """A door to the pictures of `run`, whose pairs have `names`, in order."""
        file = self.folder / f"{self.shards.get((run.table, run.group), -1):05d}.parquet"
        if not file.exists():  # its Ray distributor forgets shards that failed
            return HeldPictures((), dict.fromkeys(names, LOST))
        columns = [PLACE, "status", "error_message"]
        rows = pq.read_table(file.path, filesystem=file.filesystem, columns=columns).to_pylist()
        pictures, reasons = list[tuple[str, Held]](), dict.fromkeys(names, LOST)
        for number, row in enumerate(rows):
            name = str(names[int(row[PLACE])])
            if row["status"] == "success":
                pictures.append((name, Held(file=str(file), row=number, column=self.column)))
            else:
                reasons[name] = reason_of(row["status"], row["error_message"] or "", self.trusted)
        return HeldPictures(pictures, reasons)


def reason_of(status: str, message: str, trusted: bool) -> str:
    """The reason to count for what img2dataset says; `trusted` if it asked the addresses themselves."""
    if status == "failed_to_resize":
        return "not_resized"
    if message in SAID:
        return SAID[message]
    if not trusted:
        return reason_in(message) or LOST
    found = STATUS.match(message)
    return f"http_{found[1]}" if found else "connect" if "urlopen error" in message else "not_downloaded"


def write_list(folder: Location, run: Run, pairs: Iterable[tuple[int, str, str]]) -> int:
    """Writes the list of a chunk: place, address and hash of each of `pairs`; returns how many there are."""
    places, addresses, hashes = tuple(zip(*pairs, strict=True)) or ((), (), ())
    if places:
        columns = {PLACE: pa.array(places, pa.int32()), "url": pa.array(addresses), "hash": pa.array(hashes)}
        with (folder / f"{run.table:05d}-{run.group:08d}.parquet").written_whole() as path:
            pq.write_table(pa.table(columns), path)
    return len(places)


def download(lists: Location, folder: Location, most_pairs: int, options: Img2datasetOptions, seconds: float) -> None:
    """Runs img2dataset over `lists` into `folder`; shards that stand there are not made again.

    It runs in a worker: it takes over the process's signals and writes to its output.
    """
    given = {name: value for name, value in asdict(options).items() if value is not None}
    if options.verify_hash:
        given["verify_hash"] = ["hash", options.verify_hash[1]]
    arguments = {
        **given,
        "compute_hash": options.compute_hash,  # its own default is another one
        "url_list": str(lists),
        "input_format": "parquet",
        "url_col": "url",
        "output_folder": str(folder),
        "output_format": "parquet",
        "number_sample_per_shard": most_pairs,
        "save_additional_columns": [PLACE],
        "timeout": int(seconds),
        "distributor": "ray",
        "incremental_mode": "incremental",
        "extract_exif": False,
    }
    once: Any = ray.remote(max_calls=1, num_cpus=0, runtime_env={"env_vars": ENVIRONMENT})
    ray.get(once(_download).remote(arguments))


def _download(arguments: Mapping[str, Any]) -> None:
    import img2dataset  # only here: it imports what no other job needs

    img2dataset.download(**arguments)
