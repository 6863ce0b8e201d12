"""Questions to ledgers: what became of an address, what was dropped for which reason, what other bounds would do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.ledger.record import Entry, Record
from pipeline.rules.bounds import Bounds, refusal

SECTIONS = {
    "document": ("page", "document"),
    "paragraph": ("paragraph",),
    "image": ("image",),
}
"""The parts of a job's config that hold rules, and the kinds of things that they are about."""
Counts = Counter[tuple[str, str]]
"""How many things of a kind have a reason."""
KEPT, GONE = "kept", "kept, but not its document"
"""Stand for the reason of what no reason dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A bound that somebody thinks of, such as `image.aspect.most=2`."""

    section: str
    measure: str
    end: str
    """`least` or `most`."""
    value: float | None
    """None lifts the bound."""


def parse_rule(said: str) -> Rule:
    """The rule that is written SECTION.MEASURE.END=NUMBER. Raises ValueError if it is written otherwise."""
    name, _, number = said.partition("=")
    section, _, rest = name.partition(".")
    measure, _, end = rest.rpartition(".")
    try:
        value = None if number == "null" else float(number)
    except ValueError:
        value, section = None, ""
    if section not in SECTIONS or not measure or end not in ("least", "most"):
        raise ValueError(
            f"rule is {said!r}; write document, paragraph or image, a measure, least or most, and a number or null, "
            "such as image.aspect.most=2"
        )
    return Rule(section=section, measure=measure, end=end, value=value)


def with_rule(rules: Mapping[str, Bounds], rule: Rule) -> dict[str, Bounds]:
    """`rules` of a section with the bound of `rule` in the place of its own, or behind all others."""
    bounds = rules.get(rule.measure, Bounds())
    changed = Bounds(least=rule.value, most=bounds.most) if rule.end == "least" else replace(bounds, most=rule.value)
    return {**rules, rule.measure: changed}


def count_reasons(record: Record) -> Counts:
    """How many things of each kind were kept, and dropped for each reason."""
    own = record.entries[-1]
    kept = GONE if own.reason and own.kind in SECTIONS["document"] else KEPT
    return Counter((entry.kind, entry.reason or kept) for entry in record.entries)


def records_about(records: Iterable[Record], address: str) -> Iterator[Record]:
    """The records of the page at `address` or with that key, and of pages that name something at `address`."""
    for record in records:
        if address in (record.page, record.key) or any(entry.address == address for entry in record.entries):
            yield record


def entries_with(records: Iterable[Record], kind: str | None, reason: str | None) -> Iterator[tuple[Record, Entry]]:
    """All entries of a kind and with a reason, where these are given."""
    for record in records:
        for entry in record.entries:
            if kind in (None, entry.kind) and reason in (None, entry.reason):
                yield record, entry


def would_be(record: Record, rules: Mapping[str, Mapping[str, Bounds]]) -> Record:
    """`record` as `rules`, by section, would have it: everything is held against them again by its measures.

    What a pass over many documents dropped, or what never came, stays dropped. Documents keep the measures that were
    taken of them with the paragraphs that they had; only how many media they have is counted anew.
    """
    judged = [_judged_again(entry, rules) for entry in record.entries]
    own = judged[-1]
    if "media" in own.measures:
        kept_more = sum(not entry.reason for entry in judged[:-1] if entry.kind == "image")
        kept_more -= sum(not entry.reason for entry in record.entries[:-1] if entry.kind == "image")
        media = own.measures["media"] + kept_more
        judged[-1] = _judged_again(replace(own, measures={**own.measures, "media": media}), rules)
    return Record(record.page, record.key, judged)


def _judged_again(entry: Entry, rules: Mapping[str, Mapping[str, Bounds]]) -> Entry:
    """`entry` as `rules` have it, unless something else than a bound dropped it."""
    section = next((section for section, kinds in SECTIONS.items() if entry.kind in kinds), None)
    if section is None or entry.stage or (entry.reason and entry.measure is None):
        return entry
    refused = refusal(entry.measures, rules.get(section, {}))
    if refused is None:
        return replace(entry, reason="", measure=None, threshold=None)
    return replace(entry, reason=refused.reason, measure=refused.measure, threshold=refused.threshold)
