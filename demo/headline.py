"""The figures at the head of the report: what each means, and the bound that it must keep."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of the summary."""

    name: str
    """Its name in the summary."""
    heading: str
    meaning: str
    """One sentence; `{name}` in it is a figure of the summary."""
    write: Callable[[float], str]
    bound: str = "No bound is set."
    keeps: Callable[[Mapping[str, float]], bool] | None = None
    """Whether a summary keeps the bound; None where there is none."""


def percent(value: float) -> str:
    return f"{value:.1%}"


def whole(value: float) -> str:
    return f"{value:,.0f}"


FIGURES = (
    Figure(
        name="accuracy",
        heading="Right image",
        meaning="Share of held-out digits whose caption names the digit in the picture.",
        write=percent,
        bound="at least 80 %",
        keeps=lambda summary: summary["accuracy"] >= 0.80,
    ),
    Figure(
        name="accuracy_blank",
        heading="Blank image",
        meaning="The same with an empty picture: a model that does not look can only guess, one in ten.",
        write=percent,
        bound="at most 25 %",
        keeps=lambda summary: summary["accuracy_blank"] <= 0.25,
    ),
    Figure(
        name="accuracy_wrong_image",
        heading="Wrong image",
        meaning="With another digit's picture, share of captions that name the digit that is shown.",
        write=percent,
        bound="at least 80 %",
        keeps=lambda summary: summary["accuracy_wrong_image"] >= 0.80,
    ),
    Figure(
        name="trained_parameters",
        heading="Trained parameters",
        meaning="Of {total_parameters} in all: resampler, gated cross-attention and new tokens; the rest is frozen.",
        write=whole,
        bound="fewer than all",
        keeps=lambda summary: summary["trained_parameters"] < summary["total_parameters"],
    ),
    Figure(
        name="seconds",
        heading="Seconds",
        meaning="From an empty folder to this page: site, scraping, backbones, training and test.",
        write=whole,
        bound="under 720 on 2 cores",
        keeps=lambda summary: summary["seconds"] < 720,
    ),
    Figure(
        name="peak_rss_mb",
        heading="Peak memory, MB",
        meaning="The most that all processes of the demo held at once.",
        write=whole,
    ),
    Figure(
        name="updates",
        heading="Updates",
        meaning="Steps of the optimiser, each on a batch of every dataset.",
        write=whole,
    ),
)


def headline_html(summary: Mapping[str, float]) -> str:
    """The figures in two rows: what the model can do, and what it took."""
    cards = [card(figure, summary) for figure in FIGURES]
    return f'<div class="cards test">{"".join(cards[:3])}</div><div class="cards">{"".join(cards[3:])}</div>'


def card(figure: Figure, summary: Mapping[str, float]) -> str:
    value = summary[figure.name]
    meaning = figure.meaning.format_map({name: whole(number) for name, number in summary.items()})
    return (
        f'<div class="card"><h3>{escape(figure.heading)}</h3><p class="value">{figure.write(value)}</p>'
        f"<p>{escape(meaning)}</p>{verdict(figure, summary)}</div>"
    )


def verdict(figure: Figure, summary: Mapping[str, float]) -> str:
    """The bound, and whether it is kept."""
    if figure.keeps is None:
        return f'<p class="quiet">{escape(figure.bound)}</p>'
    kind, word = ("right", "✓ kept") if figure.keeps(summary) else ("wrong", "✗ missed")
    return f'<p class="quiet">Bound: {escape(figure.bound)} <span class="{kind}">{word}</span></p>'
