"""A funnel as a picture: a row for each step, and in it, for each quantity, what was left and what was lost.

SVG by hand: text and rectangles need no library, and every browser shows them. What a reason says is escaped.
"""

from collections.abc import Iterator, Mapping
from html import escape

from pipeline.funnel import QUANTITIES, Funnel, label

PICTURE = "funnel.svg"
"""The file of an output that shows its funnel."""
ROW, TOP = 22, 40
"""Heights of a row and of the head, in pixels."""
LETTER, COLUMN, GAP = 7.5, 240, 20
"""Widths of a letter of a name, at most on average, of a quantity, and of the space between two, in pixels."""
STYLE = """<style>
.funnel text { font: 13px system-ui, sans-serif; fill: #222; }
.funnel .number { font-size: 12px; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.funnel .strong { font-weight: 600; }
.funnel .left { fill: #41688c; }
.funnel .gone { fill: #d9705b; }
.funnel .ground { fill: #fff; }
</style>"""


def funnel_svg(funnel: Funnel) -> str:
    """What was read, then each step, then what was kept; bars of a quantity are to one scale."""
    shown = [name for name in QUANTITIES if funnel.read[name]] or [QUANTITIES[0]]
    rows = list(_rows(funnel))
    names = 2 * GAP + round(LETTER * max(len(said) for said, _, _ in rows))
    lefts = [names + place * (COLUMN + GAP) for place in range(len(shown))]
    width, height = lefts[-1] + COLUMN + GAP, TOP + ROW * len(rows) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="funnel" viewBox="0 0 {width} {height}" width="{width}">',
        STYLE,
        f'<rect class="ground" width="{width}" height="{height}"/>',
        *(f'<text x="{left}" y="24" class="strong">{name}</text>' for left, name in zip(lefts, shown, strict=True)),
    ]
    for number, (said, left, lost) in enumerate(rows):
        top = TOP + ROW * number
        parts.append(f'<text x="{GAP}" y="{top + 15}">{escape(said)}</text>')
        for x, name in zip(lefts, shown, strict=True):
            parts += _bar(x, top, funnel.read[name], left.get(name, 0), lost.get(name, 0))
    return "\n".join([*parts, "</svg>\n"])


def _rows(funnel: Funnel) -> Iterator[tuple[str, Mapping[str, int], Mapping[str, int]]]:
    """Of each row its name, what was left after it, and what was lost in it."""
    left = dict(funnel.read)
    yield "read", dict(left), {}
    for step in funnel.steps:
        left = {name: number - step.lost.get(name, 0) for name, number in left.items()}
        yield label(step.stage, step.reason), left, step.lost
    yield "kept", left, {}


def _bar(x: int, top: int, whole: int, left: int, lost: int) -> list[str]:
    """What is left as a bar with its number, then what was lost as one of another colour with its own."""
    kept, gone = (COLUMN * number / whole if whole else 0.0 for number in (left, lost))
    said = f"{left:,} (-{lost:,})" if lost else f"{left:,}"
    return [
        f'<rect class="left" x="{x}" y="{top + 3}" width="{kept:.1f}" height="{ROW - 6}"/>',
        f'<rect class="gone" x="{x + kept:.1f}" y="{top + 3}" width="{gone:.1f}" height="{ROW - 6}"/>',
        f'<text x="{x + 6}" y="{top + 15}" class="number">{said}</text>',
    ]
