"""The pairs of a run handed over to img2dataset: who is asked for, by which addresses, and where pictures lie then."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from jobs.command import InputError
from pipeline.addresses import canonical
from pipeline.fetching.proxy import Proxy, start_proxies
from pipeline.img2dataset_engine import PROXY_SECONDS, Downloads, Img2datasetOptions, download, write_list
from pipeline.inputs.pair_table import Run
from pipeline.network import OpenNetwork
from pipeline.pair_work import Judged, PairRules, Workplace, name_of
from pipeline.tasks import run_tasks
from shards.location import Location

RUNS_A_TASK = 100
"""Chunks whose lists one task writes."""


def download_pairs(
    work: Location,
    workplace: Workplace,
    runs: Sequence[Run],
    rules: PairRules,
    options: Img2datasetOptions,
    *,
    network: OpenNetwork | None,
    seconds: float,
) -> Downloads:
    """Lets img2dataset get the pictures of `runs`, through a proxy in front of `network`, or by itself without one.

    What the proxy does not get within `seconds` is `deferred`. Raises InputError if `work` is no folder on a disk.
    """
    if not work.is_local:
        raise InputError(f"engine img2dataset writes to a disk first, and output {work} is none; use engine native")
    digest = hashlib.sha256("".join(f"{run.digest}{run.pairs}" for run in runs).encode()).hexdigest()[:16]
    lists, folder = work / f"lists-{digest}", work / f"downloads-{digest}"
    proxies = start_proxies(network, rules.image_bytes, seconds) if network else nullcontext()
    with proxies as proxy:
        _write_lists(lists, workplace, runs, rules, proxy, options.verify_hash[0] if options.verify_hash else "")
        names = lists.files()
        if names:
            most = max(run.pairs for run in runs)
            wait = seconds + PROXY_SECONDS if proxy else options.timeout
            download(lists, folder, most, options, wait)
    places = (name.removesuffix(".parquet").split("-") for name in names)
    return Downloads(
        folder=folder,
        shards={(int(table), int(group)): number for number, (table, group) in enumerate(places)},
        column=options.encode_format,
        trusted=proxy is None,
    )


def _write_lists(
    lists: Location,
    workplace: Workplace,
    runs: Sequence[Run],
    rules: PairRules,
    proxy: Proxy | None,
    hash_column: str,
) -> None:
    groups = [runs[start : start + RUNS_A_TASK] for start in range(0, len(runs), RUNS_A_TASK)]

    def write(row: Mapping[str, Any]) -> None:
        for run in groups[row["number"]]:
            judged = workplace.judged(run, rules.caption)
            write_list(lists, run, list(_wanted(workplace, judged, proxy, hash_column)))

    run_tasks(lists, [{"id": f"lists {number}", "number": number} for number in range(len(groups))], write)


def _wanted(
    workplace: Workplace, judged: Sequence[Judged], proxy: Proxy | None, hash_column: str
) -> Iterator[tuple[int, str, str]]:
    """Place, address and hash of the pairs that have a caption left and a picture to ask for."""
    for place, (pair, _, captions) in enumerate(judged):
        name = name_of(pair)
        if captions and canonical(name) and not workplace.opt_out.refuses(name):
            yield place, proxy.address(name) if proxy else name, pair.facts.get(hash_column, "")
