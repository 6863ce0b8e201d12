"""A rule is a measure with bounds: a number that a pure function took, and what it may be.

Measures are taken of everything and kept; bounds are a job's config. So a change of mind needs the numbers alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a number says, and what it can be."""

    what: str
    """In a few words, with its unit and its source."""
    least: float = 0.0
    """The smallest value that it can have."""
    most: float = math.inf
    """The largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a measure may be; both ends are allowed."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something is dropped."""

    reason: str
    """The measure's name and the side on which it is out of bounds: `words_under`, `aspect_over`."""
    measure: float
    threshold: float


def check_rules(field: str, rules: Mapping[str, Bounds], known: Mapping[str, Measure]) -> None:
    """Raises ValueError if `rules`, the config's `field`, name an unknown measure or bounds that it cannot reach."""
    for name, bounds in rules.items():
        if name not in known:
            raise ValueError(f"{field} has the unknown rule {name!r}; known are {', '.join(sorted(known))}")
        least, most = known[name].least, known[name].most
        for end, value in (("least", bounds.least), ("most", bounds.most)):
            if value is not None and not least <= value <= most:
                raise ValueError(f"{field}.{name}.{end} is {value:g}; it must be from {least:g} to {most:g}")
        if bounds.least is not None and bounds.most is not None and bounds.least > bounds.most:
            raise ValueError(
                f"{field}.{name}.least is {bounds.least:g}, more than {field}.{name}.most, {bounds.most:g}"
            )


def refusal(measures: Mapping[str, float], rules: Mapping[str, Bounds]) -> Refusal | None:
    """The first of `rules` that `measures` break; a measure that was not taken breaks none."""
    for name, bounds in rules.items():
        value = measures.get(name)
        if value is None:
            continue
        if bounds.least is not None and value < bounds.least:
            return Refusal(reason=f"{name}_under", measure=value, threshold=bounds.least)
        if bounds.most is not None and value > bounds.most:
            return Refusal(reason=f"{name}_over", measure=value, threshold=bounds.most)
    return None
