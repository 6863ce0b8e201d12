"""What a person reads when a job ends: counts, drops by reason, throughput, and where the output is."""

import json
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.funnel import FUNNEL, QUANTITIES, label
from pipeline.gather import Output
from pipeline.ledger import PASSING
from shards.manifest import Manifest


def print_summary(output: Output, manifest: Manifest, changed: bool) -> None:
    """Prints the counts of `manifest` and the funnel; says so if the run found everything done and changed nothing."""
    console = Console(soft_wrap=True)
    table = Table("what", "number", title=manifest.job, title_justify="left")
    table.columns[1].justify = "right"
    for name, number in manifest.counts.items():
        table.add_row(name, f"{number:,}")
    for reason, number in manifest.drops.items():
        table.add_row(f"dropped: {reason}", f"{number:,}")
    console.print(table)
    if (output.location / FUNNEL).exists():
        console.print(_funnel_table(json.loads((output.location / FUNNEL).read())))
    for note in manifest.notes:
        console.print(f"note: {note}", markup=False)
    if passing := sum(number for name, number in manifest.drops.items() if name.partition("_")[2] in PASSING):
        console.print(f"note: {passing:,} of these failures may pass: run again with --retry-failed")
    if not changed:
        console.print(f"{output.location} was finished already; nothing was changed.", markup=False)
        return
    seconds = time.monotonic() - output.started
    stored = sum(shard.bytes for shard in manifest.shards)
    rate = manifest.documents / seconds
    console.print(
        f"{manifest.documents:,} documents in {len(manifest.shards):,} shards ({stored / 1e6:,.1f} MB) "
        f"in {seconds:,.1f} s ({rate:,.1f} documents/s): {output.location}",
        markup=False,
    )


def _funnel_table(funnel: Mapping[str, Any]) -> Table:
    """What each step lost of every quantity of which there is any, between what was read and what was kept."""
    shown = [name for name in QUANTITIES if funnel["read"][name]]
    table = Table("funnel", *shown)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("read", *(f"{funnel['read'][name]:,}" for name in shown))
    for step in funnel["steps"]:
        lost = (f"-{step[name]:,}" if step[name] else "" for name in shown)
        table.add_row(label(step["stage"], step["reason"]), *lost)
    table.add_row("kept", *(f"{funnel['kept'][name]:,}" for name in shown))
    return table


def print_estimate(
    output: Output, manifest: Manifest, done: int, total: int, unit: str, at_least: bool = False
) -> None:
    """Prints what the whole would take, after a run that `--limit` cut to `done` of `total` units."""
    if not done or done >= total:
        return
    factor = total / done
    gigabytes = sum(shard.bytes for shard in manifest.shards) * factor / 1e9
    hours = (time.monotonic() - output.started) * factor / 3600
    known = "at least " if at_least else ""
    print(f"The whole, {known}{total:,} {unit}, would take about {gigabytes:,.3g} GB and {hours:,.3g} h at this rate.")
