"""What a person reads when a job ends: counts, drops by reason, throughput, and where the output is."""

import time

from rich.console import Console
from rich.table import Table

from pipeline.gather import Output
from pipeline.ledger import PASSING
from shards.manifest import Manifest


def print_summary(output: Output, manifest: Manifest, changed: bool) -> None:
    """Prints the funnel of `manifest`; says so if the run found everything done and changed nothing."""
    console = Console(soft_wrap=True)
    table = Table("what", "number", title=manifest.job, title_justify="left")
    table.columns[1].justify = "right"
    for name, number in manifest.counts.items():
        table.add_row(name, f"{number:,}")
    for reason, number in manifest.drops.items():
        table.add_row(f"dropped: {reason}", f"{number:,}")
    console.print(table)
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
