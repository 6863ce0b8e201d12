"""What a person reads at the end, and the one line that a program reads."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lxml.etree
from rich.console import Console
from rich.table import Table

Figures = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By extractor, by set, by name."""
MUST = {
    "text_f1": ("readability", "text_f1", 0.955),
    "image_recall": ("readability", "image_recall", 0.93),
    "image_precision": ("readability", "image_precision", 0.93),
    "placement": ("readability", "placement", 0.97),
    "article_f1": ("aeb", "shingle_f1", 0.958),
    "all_kinds_f1": ("wcxb", "word_f1", 0.870),
    "pages_per_cpu_second": ("all sets", "pages_per_cpu_second", 0),
    "share_of_bare_walk_readability": ("readability", "share_of_bare_walk", 0.36),
    "share_of_bare_walk_wcxb": ("wcxb", "share_of_bare_walk", 0.36),
}
"""Each target: the set and the figure that it is, and the least that it must be."""


def targets(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """This extractor's figures beside what they must be."""
    return {
        target: {"value": figures[set_name][name], "must": f">= {least:g}"}
        for target, (set_name, name, least) in MUST.items()
    }


def print_table(figures: Figures) -> None:
    """Prints a row a figure and a column an extractor, set by set."""
    table = Table("set", "figure", *figures, title="extraction", title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    sets = dict.fromkeys(name for by_set in figures.values() for name in by_set)
    for set_name in sets:
        columns = [dict(_flat(by_set.get(set_name, {}))) for by_set in figures.values()]
        for name in dict.fromkeys(name for column in columns for name in column):
            table.add_row(set_name, name, *(_shown(column.get(name)) for column in columns))
        table.add_section()
    Console(width=150).print(table)  # also where it goes to a file: seven columns are not wrapped


def _flat(figures: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in figures.items():
        nested = value if isinstance(value, Mapping) else {"": value}
        pairs += [(f"{name}: {inner}" if inner else name, number) for inner, number in nested.items()]
    return [(name, value) for name, value in pairs if value is not None]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, float) and value > 1 else str(value)


def machine() -> str:
    """The processor, how many of it this process may use, and the versions that speed depends on."""
    return (
        f"{len(os.sched_getaffinity(0))} x {_processor()}, Python {platform.python_version()}, "
        f"lxml {'.'.join(map(str, lxml.etree.LXML_VERSION[:3]))}, "
        f"libxml2 {'.'.join(map(str, lxml.etree.LIBXML_VERSION))}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
