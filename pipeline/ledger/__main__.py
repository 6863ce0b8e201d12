"""Asks an output's ledger, never its shards: why is this page not in my set, and what would another threshold keep?"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.command import REFUSED
from pipeline.gather import OWNER
from pipeline.ledger.query import (
    SECTIONS,
    Counts,
    Rule,
    count_reasons,
    entries_with,
    parse_rule,
    records_about,
    with_rule,
    would_be,
)
from pipeline.ledger.record import Entry, Record
from pipeline.ledger.table import ledger_of, read_records
from pipeline.rules.bounds import Bounds
from shards.errors import DatasetError
from shards.location import Location, locate
from shards.manifest import read_commits


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.ledger", description=__doc__)
    parser.add_argument("output", help="folder or address of a dataset that one of our jobs made")
    parser.add_argument("--address", help="what became of this page, picture or document's key, and why")
    parser.add_argument("--rule", action="append", default=[], help="what would this keep: image.aspect.most=2")
    parser.add_argument("--kind", help="list what is of this kind: page, document, paragraph, image, ...")
    parser.add_argument("--reason", help="list what was dropped for this reason: words_under, timeout, ...")
    parser.add_argument("--limit", type=int, default=20, help="list so many (default: 20)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the answer, or `error: ` and a sentence; the exit code is 2 for bad input."""
    arguments = command_line().parse_args(argv)
    console = Console(soft_wrap=True, highlight=False)
    try:
        answer(arguments, console)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    return 0


def answer(arguments: argparse.Namespace, console: Console) -> None:
    """Prints what is asked for; without a question, how many were kept and dropped for which reason.

    Raises ValueError if the output keeps no ledger, or a rule or an address is unknown there.
    """
    output = locate(arguments.output)
    if arguments.address:
        _tell(output, arguments.address, console)
    elif arguments.rule:
        _compare(output, [parse_rule(said) for said in arguments.rule], console)
    elif arguments.kind or arguments.reason is not None:
        found = entries_with(all_records(output), arguments.kind, arguments.reason)
        for record, entry in itertools.islice(found, arguments.limit):
            console.print(f"{record.page}\n    {describe(entry)}", markup=False)
    else:
        counts = Counts()
        for record in all_records(output):
            counts.update(count_reasons(record))
        console.print(counts_table({"number": counts}))


def all_records(output: Location) -> Iterator[Record]:
    """The records of all committed chunks. Raises DatasetError if there is none."""
    ledgers = [ledger_of(output, commit.chunk, commit.generation) for commit in read_commits(output)]
    ledgers = [ledger for ledger in ledgers if ledger.exists()]
    if not ledgers:
        raise DatasetError(f"{output} keeps no ledger; give the output of a job that has committed something")
    return itertools.chain.from_iterable(map(read_records, ledgers))


def describe(entry: Entry) -> str:
    """One line: what it is, whether it was kept, and if not by which number."""
    place = f" {entry.number}" if entry.number >= 0 else ""
    stage = f" ({entry.stage})" if entry.stage else ""
    fate = f"dropped: {entry.reason}{stage}" if entry.reason else "kept"
    bound = "" if entry.measure is None else f", {entry.measure:g}"
    bound += "" if entry.threshold is None else f" where {entry.threshold:g} is the bound"
    other = f", a copy of {entry.other}" if entry.other else ""
    return f"{entry.kind}{place} {entry.address}: {fate}{bound}{other}"


def counts_table(columns: Mapping[str, Counts]) -> Table:
    """A row a kind and reason, with `columns` of numbers."""
    table = Table("kind", "reason", *columns)
    for column in table.columns[2:]:
        column.justify = "right"
    for kind, reason in sorted({key for counts in columns.values() for key in counts}):
        numbers = (f"{counts[kind, reason]:,}" for counts in columns.values())
        table.add_row(kind, reason, *numbers)
    return table


def _tell(output: Location, address: str, console: Console) -> None:
    found = False
    for record in records_about(all_records(output), address):
        found = True
        console.print(f"{record.page} (document {record.key or 'none'})", markup=False)
        for entry in record.entries:
            console.print(f"    {describe(entry)}", markup=False)
        for name, value in sorted(record.entries[-1].measures.items()):
            console.print(f"        {name} {value:g}", markup=False)
    if not found:
        raise ValueError(f"{address} is not in the ledger of {output}: no page, picture or document was there by it")


def _compare(output: Location, rules: Sequence[Rule], console: Console) -> None:
    held = rules_of(json.loads((output / OWNER).read())["config"])
    changed = dict(held)
    for rule in rules:
        changed[rule.section] = with_rule(changed[rule.section], rule)
    now, then, measured = Counts(), Counts(), set[tuple[str, str]]()
    for record in all_records(output):
        now.update(count_reasons(record))
        then.update(count_reasons(would_be(record, changed)))
        measured.update((entry.kind, name) for entry in record.entries for name in entry.measures)
    _check_measured(rules, measured)
    console.print(counts_table({"now": now, "then": then}))
    console.print(
        "Before duplicates are looked for again; documents as they were measured, with the paragraphs of now."
    )


def rules_of(config: Mapping[str, Any]) -> dict[str, dict[str, Bounds]]:
    """The rules that a job's config holds, by section; those of a gathering job on images are `image.rules`."""
    sections = {section: config.get(section) or {} for section in SECTIONS}
    sections["image"] = sections["image"].get("rules", sections["image"])
    return {
        section: {name: Bounds(**bounds) for name, bounds in rules.items() if isinstance(bounds, dict)}
        for section, rules in sections.items()
    }


def _check_measured(rules: Sequence[Rule], measured: set[tuple[str, str]]) -> None:
    for rule in rules:
        names = sorted({name for kind, name in measured if kind in SECTIONS[rule.section]})
        if rule.measure not in names:
            raise ValueError(
                f"rule {rule.section}.{rule.measure} is about a measure that was not taken; "
                f"taken were {', '.join(names) or 'none'}"
            )


if __name__ == "__main__":
    raise SystemExit(main())
