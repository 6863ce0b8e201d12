"""Curves over a run's updates as inline SVG: axes, a few numbers on them, and lines."""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 10, 26
Curve = tuple[str, Sequence[float]]  # the CSS class of its line, and its value at each update


def line_chart(title: str, updates: Sequence[int], curves: Sequence[Curve]) -> str:
    """The curves in one chart, whose value axis holds 0."""
    finite = [value for _, values in curves for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    high = high if high > low else low + 1
    lines = "".join(polyline(name, updates, values, low, high) for name, values in curves)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{value_axis(low, high)}{update_axis(updates)}{lines}</svg>"
    )


def polyline(name: str, updates: Sequence[int], values: Sequence[float], low: float, high: float) -> str:
    """The line of one curve; a value that is not finite is left out of it."""
    points = " ".join(
        f"{across(update, updates):.1f},{down(value, low, high):.1f}"
        for update, value in zip(updates, values, strict=True)
        if math.isfinite(value)
    )
    return f'<polyline class="{escape(name)}" points="{points}"/>'


def across(update: int, updates: Sequence[int]) -> float:
    span = max(updates[-1] - updates[0], 1)
    return LEFT + (WIDTH - LEFT - RIGHT) * (update - updates[0]) / span


def down(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)


def value_axis(low: float, high: float) -> str:
    """A rule and a number at every round step between `low` and `high`."""
    step = round_step(high - low)
    values = [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return "".join(
        f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(value, low, high):.1f}" '
        f'y2="{down(value, low, high):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{down(value, low, high) + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value in (round(value, 10) for value in values)
    )


def update_axis(updates: Sequence[int]) -> str:
    """The first and the last update's number."""
    y = HEIGHT - 8
    return (
        f'<text x="{LEFT}" y="{y}">update {updates[0]:,}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">{updates[-1]:,}</text>'
    )


def round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that three to six steps make up the span."""
    power = 10 ** math.floor(math.log10(span / 3))
    return next(factor * power for factor, after in pairwise((1, 2, 5, 10)) if after * power > span / 3)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and of those before it, `window` of them at most."""
    return [math.fsum(values[max(0, end - window) : end]) / min(end, window) for end in range(1, len(values) + 1)]
